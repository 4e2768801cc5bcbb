package config

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// said is a source that answers with what a test says.
type said struct {
	read func(ctx context.Context) (Content, error)
}

func (said) Name() string                                { return "said" }
func (s said) Read(ctx context.Context) (Content, error) { return s.read(ctx) }

func newLayer(read func(ctx context.Context) (Content, error)) *layer {
	return &layer{src: said{read}, timeout: time.Second, poll: time.Second, reading: make(chan struct{}, 1)}
}

func document(revision, json string) Content {
	return Content{Revision: revision, Parts: []Part{{Data: []byte(json)}}}
}

func (l *layer) json() string {
	if len(l.parts) != 1 {
		return fmt.Sprint(len(l.parts), " parts")
	}
	return string(appendJSON(nil, l.parts[0], "", nil))
}

// What a source says is a change if its values, its revision or its kind are others.
func TestWhatIsAChangeOfASource(t *testing.T) {
	root := &Node{Kind: Object}
	for _, c := range []struct {
		name         string
		first, again Content
		changed      bool
	}{
		{"the same", document("1", `{"a":1}`), document("1", `{"a":1}`), false},
		{"another revision", document("1", `{"a":1}`), document("2", `{"a":1}`), true},
		{"another value of the same length", document("", `{"a":1}`), document("", `{"a":2}`), true},
		{"the same, written in another way", document("", `{"a":1}`), document("", `{ "a":1}`), false},
		{"another value, and the same revision", document("1", `{"a":1}`), document("1", `{"a":2}`), true},
		{"a part more", document("", `{}`), Content{Parts: []Part{{Data: []byte(`{}`)}, {Data: []byte(`{}`)}}}, true},
		{"the same node", Content{Parts: []Part{{Root: root}}}, Content{Parts: []Part{{Root: root}}}, false},
	} {
		l := newLayer(nil)
		changed, ok := l.take(c.first, nil, nil)
		if !changed || !ok {
			t.Errorf("%s: the first is no change", c.name)
		}
		if changed, _ := l.take(c.again, nil, nil); changed != c.changed {
			t.Errorf("%s: a change: %v, want %v", c.name, changed, c.changed)
		}
	}
	different := []Content{{}, document("", "{}"), document("", "[]"), document("", "{} "), {Parts: []Part{{Name: "a", Data: []byte("{}")}}}, {Parts: []Part{{Name: "b", Data: []byte("{}")}}}, {Parts: []Part{{Root: root}}}, {Parts: []Part{{Root: &Node{}}}}}
	for i, a := range different {
		for j, b := range different {
			if (fingerprint(a) == fingerprint(b)) != (i == j) {
				t.Errorf("contents %d and %d", i, j)
			}
		}
	}
}

// A source that fails keeps what it said, and since when it fails; it is back with the
// next good answer. What is optional may be absent.
func TestWhatBecomesOfASource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		absent := fault.Mark(ErrNotFound, errors.New("no file"))
		down := fault.Mark(ErrUnavailable, errors.New("down"))
		for _, optional := range []bool{false, true} {
			l := newLayer(nil)
			l.optional = optional
			for _, c := range []struct {
				content Content
				err     error
				changed bool
				json    string
				fails   bool
			}{
				{Content{}, down, false, "0 parts", true},
				{document("1", `{"a":1}`), nil, true, `{"a":1}`, false},
				{Content{}, down, false, `{"a":1}`, true},
				{document("1", `{"a":1}`), nil, false, `{"a":1}`, false},
				{document("2", `{`), nil, false, `{"a":1}`, true},
				{document("2", `[]`), nil, false, `{"a":1}`, true},
				{document("3", `{"a":3}`), nil, true, `{"a":3}`, false},
			} {
				before := l.since
				time.Sleep(time.Second)
				changed, ok := l.take(c.content, c.err, nil)
				if changed != c.changed || !ok || l.json() != c.json || (l.problem() != nil) != c.fails {
					t.Errorf("optional %v, %+v: changed %v, %s, %v", optional, c, changed, l.json(), l.problem())
				}
				switch {
				case !c.fails && (!l.since.IsZero() || !l.lastGood.Equal(time.Now())):
					t.Errorf("%+v: fails since %v, good at %v", c, l.since, l.lastGood)
				case c.fails && !before.IsZero() && !l.since.Equal(before), c.fails && before.IsZero() && !l.since.Equal(time.Now()):
					t.Errorf("%+v: fails since %v, before %v", c, l.since.Sub(start), before.Sub(start))
				}
			}
			for _, c := range []struct {
				content Content
				err     error
			}{{Content{}, absent}, {document("4", ""), nil}, {document("5", " \n"), nil}, {Content{Revision: "6"}, nil}} {
				l.take(document("3", `{"a":3}`), nil, nil)
				changed, _ := l.take(c.content, c.err, nil)
				if changed != optional || (len(l.parts) == 0) != optional || (l.problem() == nil) != optional {
					t.Errorf("optional %v, absent: changed %v, %s, %v", optional, changed, l.json(), l.problem())
				}
			}
		}
		l := newLayer(nil)
		if changed, ok := l.take(document("1", "{}"), nil, func() bool { return false }); changed || ok || l.have {
			t.Error("what may not be taken was")
		}
		// What was restored is replaced by the same, as it is the source that says it now.
		l.have, l.parts, l.revision, l.restored = true, []*tree{emptyObject}, "1", time.Now()
		if changed, _ := l.take(document("1", "{}"), nil, nil); !changed || !l.restored.IsZero() {
			t.Error("what the source says is no change to what was restored")
		}
	})
}

// A read that the watch has overtaken is made again, a bounded number of times; one that
// is too late says so, and one that is given up changes nothing.
func TestReadsThatAreOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for overtaken, want := range map[int]int{0: 1, 3: 4, 9: 10, 10: 11, 100: 11} {
			reads := 0
			var l *layer
			l = newLayer(func(context.Context) (Content, error) {
				reads++
				if reads <= overtaken {
					l.take(document(fmt.Sprint(reads), `{"watched":1}`), nil, nil)
				}
				return document("read", `{"read":1}`), nil
			})
			_, err := l.read(t.Context())
			wantJSON := `{"read":1}`
			if overtaken > 10 {
				wantJSON = `{"watched":1}`
			}
			if err != nil || reads != want || l.json() != wantJSON {
				t.Errorf("overtaken %d times: %d reads, %s, %v, want %d", overtaken, reads, l.json(), err, want)
			}
		}
		l := newLayer(func(ctx context.Context) (Content, error) { <-ctx.Done(); return Content{}, ctx.Err() })
		began := time.Now()
		if _, err := l.read(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 1s") || time.Since(began) != time.Second {
			t.Errorf("too late: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		l = newLayer(func(ctx context.Context) (Content, error) { <-ctx.Done(); return Content{}, ctx.Err() })
		if changed, err := l.read(ctx); changed || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) || l.problem() != nil {
			t.Errorf("given up: %v, %v, %v", changed, err, l.problem())
		}
		l.reading <- struct{}{} // somebody else reads
		if _, err := l.read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up while somebody else reads: %v", err)
		}
		<-l.reading
		boom := newLayer(func(context.Context) (Content, error) { panic("boom") })
		if _, err := boom.read(t.Context()); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("a panic: %v", err)
		}
	})
}

// What the watch delivers is taken, unless a read has found another since: then the
// source is asked which is the newer one.
func TestWhatTheWatchDelivers(t *testing.T) {
	old, now, newer := document("1", `{"a":1}`), document("2", `{"a":2}`), document("3", `{"a":3}`)
	for _, c := range []struct {
		name    string
		read    Content // that the last read found, if any
		source  Content // what the source has
		fails   error   // or that it says then
		hears   Content
		err     error
		reads   int
		json    string
		changed bool
	}{
		{"the first", Content{}, old, nil, old, nil, 0, `{"a":1}`, true},
		{"what was read", now, now, nil, now, nil, 0, `{"a":2}`, false},
		{"an older one than was read", now, now, nil, old, nil, 1, `{"a":2}`, false},
		{"a newer one than was read", now, newer, nil, newer, nil, 1, `{"a":3}`, true},
		{"a newer one, and the source fails", now, newer, errors.New("down"), newer, nil, 1, `{"a":2}`, false},
		{"an error after a read", now, now, nil, Content{}, errors.New("broke"), 1, `{"a":2}`, false},
	} {
		reads := 0
		read := func(context.Context) (Content, error) {
			reads++
			return c.source, c.fails
		}
		l := newLayer(func(context.Context) (Content, error) { return c.read, nil })
		if c.read.Parts != nil {
			if _, err := l.read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.src = said{read}
		changed, doubt := l.hear(t.Context(), c.hears, c.err)
		if changed != c.changed || !errors.Is(doubt, c.fails) || (doubt == nil) != (c.fails == nil) || reads != c.reads || l.json() != c.json {
			t.Errorf("%s: changed %v, %d reads, %s; want %v, %d, %s", c.name, changed, reads, l.json(), c.changed, c.reads, c.json)
		}
		if c.err == nil {
			// Once it has caught up it is believed again.
			reads = 0
			if c.fails != nil {
				l.catchUp()
			} else {
				l.hear(t.Context(), c.source, nil)
			}
			changed, doubt = l.hear(t.Context(), document("9", `{"a":9}`), nil)
			if !changed || doubt != nil || reads != 0 || l.json() != `{"a":9}` {
				t.Errorf("%s, and the next: changed %v, %v, %d reads, %s", c.name, changed, doubt, reads, l.json())
			}
		}
	}
}

// watched is a source whose n-th watch delivers contents one second after the other.
type watched struct {
	said
	watches [][]Content
	begun   int
}

func (w *watched) Watch(ctx context.Context, deliver func(Content, error)) error {
	contents := w.watches[w.begun]
	w.begun++
	for _, c := range contents {
		if backoff.Sleep(ctx, time.Second) != nil {
			return ctx.Err()
		}
		deliver(c, nil)
	}
	<-ctx.Done()
	return ctx.Err()
}

// When a read has found another content than the watch delivers, and the source can't be asked
// which is the newer one, values stay, and the watch begins again: it then says what is there.
func TestAWatchInDoubtBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, now, newer := document("1", `{"a":1}`), document("2", `{"a":2}`), document("3", `{"a":3}`)
		l := newLayer(func(context.Context) (Content, error) { return now, nil })
		if _, err := l.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		down := func(context.Context) (Content, error) { return Content{}, errors.New("down") }
		w := &watched{said: said{down}, watches: [][]Content{{old, old}, {newer}}}
		l.src = w
		ctx, cancel := context.WithCancel(t.Context())
		var values []string
		var ended sync.WaitGroup
		ended.Go(func() { l.follow(ctx, func(bool) { values = append(values, l.json()) }) })
		time.Sleep(time.Minute)
		cancel()
		ended.Wait()
		if got := slices.Compact(values); !slices.Equal(got, []string{`{"a":2}`, `{"a":3}`}) || w.begun != 2 || l.problem() != nil {
			t.Errorf("values %v in %d watches, %v", got, w.begun, l.problem())
		}
	})
}

// The environment and the flags are delivered at once, and the watch lasts.
func TestSourcesThatDoNotChangeDeliverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := flag.NewFlagSet("x", flag.ContinueOnError)
		fs.String("server.max-conns", "", "")
		if err := fs.Parse([]string{"-server.max-conns=7"}); err != nil {
			t.Fatal(err)
		}
		e := Env("APP").(*env)
		e.environ = func() []string {
			return []string{"APP_SERVER__MAX_CONNS=7", "APP_=x", "APP=x", "OTHER=1", "APP_A____B=1"}
		}
		for name, s := range map[string]Source{"env": e, "flags": Flags(fs)} {
			ctx, cancel := context.WithCancel(t.Context())
			got, ended := make(chan Content, 2), make(chan error, 1)
			go func() {
				ended <- s.(Watcher).Watch(ctx, func(c Content, err error) {
					if err != nil {
						t.Error(err)
					}
					got <- c
				})
			}()
			time.Sleep(time.Hour)
			if len(got) != 1 || len(ended) != 0 {
				t.Fatalf("%s: %d deliveries, want one, and the watch to go on", name, len(got))
			}
			l := newLayer(nil)
			l.take(<-got, nil, nil)
			if l.json() != `{"server":{"max_conns":"7"}}` {
				t.Errorf("%s: %s", name, l.json())
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A saved file is of use while it is young, source by source.
func TestTheAgeOfSavedContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "good.json")
		now := time.Now().UTC()
		saved := func(age time.Duration) string { return now.Add(-age).Format(time.RFC3339Nano) }
		text := fmt.Sprintf(`{"sources":[{"name":"said","saved":%q,"parts":[{"content":{"a":1}}]},{"name":"old","saved":%q,"parts":[{"content":{"b":1}}]}]}`, saved(time.Hour), saved(2*time.Hour))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		required := newLayer(nil)
		for age, c := range map[time.Duration]struct {
			sources  int
			says     string
			complete bool
		}{
			0: {2, "", true}, 2 * time.Hour: {2, "", true}, 2*time.Hour - 1: {1, "old is 2h0m0s old", true}, time.Hour: {1, "old is 2h0m0s old", true}, time.Hour - 1: {0, "more than", false},
		} {
			f := &front{}
			f.saved, f.savedAge = name, age
			s, err := f.loadSaved()
			if len(s.byName) != c.sources || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("younger than %v: %d sources, %v", age, len(s.byName), err)
			}
			if got := s.complete([]*layer{required}); got != c.complete {
				t.Errorf("younger than %v it is complete: %v", age, got)
			}
			l := newLayer(nil)
			s.restore(l)
			if l.have != c.complete || c.complete && (l.json() != `{"a":1}` || !l.restored.Equal(now.Add(-time.Hour))) {
				t.Errorf("younger than %v: restored %v, %s", age, l.have, l.json())
			}
		}
		broken := &front{}
		broken.saved = filepath.Join(t.TempDir(), "broken.json")
		if err := os.WriteFile(broken.saved, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := broken.loadSaved(); err == nil || !strings.Contains(err.Error(), "last-known-good file") {
			t.Errorf("a file that is none: %v", err)
		}
		f := &front{}
		if s, err := f.loadSaved(); err != nil || len(s.byName) != 0 || s.complete(nil) {
			t.Errorf("without a file: %+v, %v", s, err)
		}
		f.saved = name + "x"
		if s, err := f.loadSaved(); err != nil || len(s.byName) != 0 {
			t.Errorf("a file that is not there: %+v, %v", s, err)
		}
		optional := newLayer(nil)
		optional.optional = true
		if !(&savedFile{byName: map[string]savedSource{"x": {}}}).complete([]*layer{optional}) {
			t.Error("what is optional is missed")
		}
	})
}

// Who ends a subscription ends his own.
func TestEndingASubscriptionEndsNoOther(t *testing.T) {
	m := Memory("m", map[string]int{"a": 0})
	c, err := New(WithSource(m), WithDebounce(time.Microsecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	asked := make([]int, 3)
	var cancels []func()
	for i := range asked {
		cancel, err := c.Subscribe("a", func(context.Context, Change) (func(), error) { asked[i]++; return nil, nil })
		if err != nil {
			t.Fatal(err)
		}
		cancels = append(cancels, cancel)
	}
	for n, want := range [][]int{{2, 2, 2}, {3, 2, 3}, {3, 2, 4}} {
		if err := errors.Join(m.Set(map[string]int{"a": n + 1}), c.Reload(t.Context())); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(asked, want) {
			t.Errorf("after change %d they were asked %v times, want %v", n+1, asked, want)
		}
		cancels[[]int{1, 0, 2}[n]]()
		cancels[1]() // again makes no difference
	}
}

// References are resolved again; another value is a change, and so is that one of newer
// content may be there at last. What fails keeps its value.
func TestReferencesThatAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values := map[string]string{"x": "1", "y": "2"}
		var fails error
		a := &scheme{name: "a", resolver: ResolverFunc(func(_ context.Context, ref string) (string, error) { return values[ref], fails })}
		b := &scheme{name: "b", resolver: a.resolver}
		x, y := &reference{scheme: a, ref: "x", value: "1"}, &reference{scheme: b, ref: "y", value: "2"}
		rs := &references{timeout: time.Second, known: map[string]*reference{"a:x": x, "b:y": y}}
		for _, c := range []struct {
			name    string
			of      *scheme
			prepare func()
			changed bool
			x, y    string
		}{
			{"nothing is another", nil, func() {}, false, "1", "2"},
			{"one is", nil, func() { values["x"] = "11" }, true, "11", "2"},
			{"of another scheme", b, func() { values["x"] = "111" }, false, "11", "2"},
			{"of its scheme", a, func() {}, true, "111", "2"},
			{"what could not be resolved may be there", a, func() { rs.unmet = map[*scheme]bool{a: true} }, true, "111", "2"},
			{"but not of another scheme", b, func() {}, false, "111", "2"},
			{"nor if all are asked for", nil, func() {}, false, "111", "2"},
			{"it fails", a, func() { rs.unmet, fails, values["x"] = nil, errors.New("down"), "9" }, false, "111", "2"},
			{"and again", a, func() { time.Sleep(time.Minute) }, false, "111", "2"},
		} {
			c.prepare()
			if got := rs.refresh(t.Context(), c.of); got != c.changed || x.value != c.x || y.value != c.y {
				t.Errorf("%s: changed %v, %q and %q, want %v, %q and %q", c.name, got, x.value, y.value, c.changed, c.x, c.y)
			}
		}
		if errs := rs.unresolved(); len(errs) != 1 || !x.since.Equal(time.Now().Add(-time.Minute)) || y.err != nil {
			t.Errorf("unresolved %v, since %v, want x for a minute", errs, x.since)
		}
		fails = nil
		if !rs.refresh(t.Context(), a) || x.value != "9" || len(rs.unresolved()) != 0 || !x.since.IsZero() {
			t.Errorf("it is back: %+v", x)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		fails = errors.New("down")
		rs.refresh(ended, nil)
		if x.err != nil {
			t.Error("who gives up is told as a failure")
		}
		if (*references)(nil).unresolved() != nil {
			t.Error("without resolvers something is not resolved")
		}
	})
}

// Numbers at the limits of their types, and lists of a fixed length.
func TestTheLimitsOfTypes(t *testing.T) {
	for _, c := range []struct {
		into      any
		good, bad string
	}{
		{new(int8), "127", "128"}, {new(int8), "-128", "-129"}, {new(uint8), "255", "256"}, {new(uint8), "0", "-1"}, {new(int64), "9223372036854775807", "9223372036854775808"},
		{new(uint64), "18446744073709551615", "18446744073709551616"}, {new(float32), "3.4e38", "3.5e38"}, {new(float64), "1e308", `"1"`},
		{new([2]int), "[1,2]", "[1]"}, {new([2]int), "[1,2]", "[1,2,3]"}, {new([]int), "[]", "{}"}, {new(map[string]int), "{}", "[]"}, {new(struct{}), "{}", "[]"},
		{new(bool), "true", "1"}, {new(string), `""`, "1"}, {new(time.Duration), `"1s"`, "1"}, {new([]byte), `"AAE="`, `"AAE"`}, {new([]byte), `""`, "1"},
		{new(*int), "1", `"1"`}, {new(any), "1", ""}, {new(time.Time), `"2026-05-01T10:00:00Z"`, "null"}, {new(struct{ A int }), `{"a":1}`, `{"b":1}`},
	} {
		if err := (Value{t: value(t, c.good)}).Scan(c.into); err != nil {
			t.Errorf("%s into %T: %v", c.good, c.into, err)
		}
		if got := strings.ReplaceAll(fmt.Sprint(reflect.ValueOf(c.into).Elem()), " ", ""); got == "" && c.good != `""` {
			t.Errorf("%s into %T gave nothing", c.good, c.into)
		}
		if c.bad == "" {
			continue
		}
		fresh := reflect.New(reflect.TypeOf(c.into).Elem())
		if err := (Value{t: value(t, c.bad)}).Scan(fresh.Interface()); err == nil || !fresh.Elem().IsZero() {
			t.Errorf("%s into %T: %v, %v, want an error and nothing set", c.bad, c.into, fresh.Elem(), err)
		}
	}
	var i *int
	if err := (Value{t: value(t, "null")}).Scan(&i); err != nil || i != nil {
		t.Errorf("null into a pointer: %v, %v", i, err)
	}
	for _, into := range []any{nil, 1, (*int)(nil)} {
		if err := (Value{t: value(t, "1")}).Scan(into); !errors.Is(err, ErrInvalid) {
			t.Errorf("into %T: %v", into, err)
		}
	}
	if err := (Value{}).Scan(new(int)); err == nil || !strings.Contains(err.Error(), "nothing is set") {
		t.Errorf("nothing into an int: %v", err)
	}
	if err := (Value{}).Scan(new(struct{ A int })); err != nil {
		t.Errorf("nothing into an object: %v", err)
	}
}

// Types are read once, also those that can't be: each time they say the same.
func TestTypesThatCannotBeSayItEachTime(t *testing.T) {
	type bad struct {
		A chan int
	}
	ty := new(types)
	for range 3 {
		if p, err := ty.of(reflect.TypeFor[bad]()); p != nil && err == nil || err == nil || !strings.Contains(err.Error(), "can't be configured") {
			t.Errorf("%v, %v", p, err)
		}
	}
	type good struct{ A int }
	first, err := ty.of(reflect.TypeFor[good]())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ty.of(reflect.TypeFor[good]()); err != nil || again != first {
		t.Errorf("%v, %v, want the same", again, err)
	}
}

// What a tag's text is in a schema.
func TestTagsInASchema(t *testing.T) {
	for _, c := range []struct {
		typ  reflect.Type
		text string
		want string
	}{
		{reflect.TypeFor[time.Duration](), "5s", `"5s" string`}, {reflect.TypeFor[[]byte](), "AA==", `"AA==" string`}, {reflect.TypeFor[time.Time](), "1", `"1" string`},
		{reflect.TypeFor[*int](), "5", `"5" json.Number`}, {reflect.TypeFor[bool](), "true", `true bool`}, {reflect.TypeFor[int](), "+5", `5 float64`}, {reflect.TypeFor[float64](), "5e1", `"5e1" json.Number`},
		{reflect.TypeFor[[]int](), "1,2", `[]interface {}{"1", "2"} []interface {}`}, {reflect.TypeFor[[]int](), "[1]", `[]interface {}{1} []interface {}`},
		{reflect.TypeFor[string](), "5", `"5" string`}, {reflect.TypeFor[map[string]int](), `{"a":1}`, `map[string]interface {}{"a":1} map[string]interface {}`},
	} {
		v := literal(c.typ, c.text)
		if got := fmt.Sprintf("%#v %T", v, v); got != c.want {
			t.Errorf("%s of %v: %s, want %s", c.text, c.typ, got, c.want)
		}
	}
}

// careless is a format whose errors have no kind.
type careless struct{ JSON }

func (careless) Parse([]byte) (*Node, error) { return nil, errors.New("odd") }

// What a format says without a kind is invalid; what it says itself stays.
func TestErrorsOfFormats(t *testing.T) {
	if _, err := parsePart(Part{Data: []byte("x"), Format: careless{}}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "odd") {
		t.Errorf("%v, want ErrInvalid", err)
	}
	_, err := parsePart(Part{Data: []byte("{")})
	if _, ok := err.(*SyntaxError); !ok {
		t.Errorf("%T, want the SyntaxError itself", err)
	}
}

// ending is a source whose watch ends without a reason.
type ending struct{ said }

func (ending) Watch(context.Context, func(Content, error)) error { return nil }

// A watch that ends is a failure of its source; one that ends with the config is not.
func TestAWatchThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := func(context.Context) (Content, error) { return document("1", "{}"), nil }
		c, err := New(WithSource(ending{said{read}}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(time.Minute)
		h := c.Health()
		if len(h.Sources) != 1 || !errors.Is(h.Sources[0].Err, ErrUnavailable) || !strings.Contains(h.Sources[0].Err.Error(), "watch ended") {
			t.Errorf("%+v, want that the watch ended", h.Sources)
		}
	})
}

// What is late is listed in order.
func TestWhatIsLateIsListedInOrder(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := c.(*front)
	f.stateMu.Lock()
	for _, text := range []string{"d", "b", "a", "c", "e"} {
		f.late[&guest{name: text}] = errors.New(text)
	}
	f.stateMu.Unlock()
	if late := fmt.Sprint(c.Health().Late); late != "[a b c d e]" {
		t.Errorf("%s, want them in order", late)
	}
	f.stateMu.Lock()
	clear(f.late)
	f.stateMu.Unlock()
}

// An enum of durations is of texts, and one of a pointer allows null.
func TestEnumsInASchema(t *testing.T) {
	type T struct {
		D time.Duration `enum:"1s,2s" default:"1s"`
		P *int          `enum:"1,2"`
		N int           `enum:"0,2"`
	}
	text, err := SchemaOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSnapshot(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"d": `["1s","2s"]`, "p": `[1,2,null]`, "n": `[0,2]`} {
		if got := string(s.Get("properties." + path + ".enum").Bytes()); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
