package fronts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
)

func TestApplyStopsAtTheFirstError(t *testing.T) {
	type option func(*[]int) error
	add := func(n int) option { return func(l *[]int) error { *l = append(*l, n); return nil } }
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		opts []option
		want error
		n    int
	}{
		"none": {}, "all": {[]option{add(1), add(2)}, nil, 2},
		"nil":   {[]option{add(1), nil, add(2)}, fault.Invalid, 1},
		"error": {[]option{add(1), func(*[]int) error { return bad }, add(2)}, bad, 1},
	} {
		var l []int
		if err := Apply(&l, c.opts); !errors.Is(err, c.want) || len(l) != c.n {
			t.Errorf("%s: %v after %d options, want %v after %d", name, err, len(l), c.want, c.n)
		}
	}
}

func TestCutKeepsWholeCharacters(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{strings.Repeat("a", 65), strings.Repeat("a", 64) + "…"},
		{strings.Repeat("a", 63) + "ä!", strings.Repeat("a", 63) + "…"},
	} {
		if got := Cut(c.name); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%q became %q", c.name, got)
		}
	}
}

// driver is a driver that notes what is done with it.
type driver struct {
	said   string
	refuse error
	done   *[]string
}

func (d driver) Ping(ctx context.Context) error {
	*d.done = append(*d.done, "ping")
	if _, ok := ctx.Deadline(); !ok {
		*d.done = append(*d.done, "without an end")
	}
	return d.refuse
}
func (d driver) Advice(context.Context) string { *d.done = append(*d.done, "advice"); return d.said }
func (d driver) Close() error                  { *d.done = append(*d.done, "close"); return nil }

// flushing is a driver whose Close takes a context.
type flushing struct{ driver }

func (d flushing) Close(context.Context) error { return d.driver.Close() }

func TestOpen(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		lazy     bool
		open     error
		refuse   error
		said     string
		flushing bool
		want     error
		done     string
	}{
		"answers":         {done: "ping advice"},
		"has advice":      {said: "drops items", done: "ping advice drops items"},
		"lazy":            {lazy: true, said: "drops items", done: ""},
		"can't be":        {open: bad, want: fault.Invalid, done: ""},
		"is silent":       {refuse: bad, want: fault.Unavailable, done: "ping close"},
		"refuses":         {refuse: fault.Denied, want: fault.Denied, done: "ping close"},
		"silent, flushes": {refuse: bad, flushing: true, want: fault.Unavailable, done: "ping close"},
	} {
		var done []string
		advise := func(advice string) { done = append(done, advice) }
		_, err := Open("kv/x", time.Minute, c.lazy, func(context.Context) (any, error) {
			d := driver{c.said, c.refuse, &done}
			if c.flushing {
				return flushing{d}, c.open
			}
			return d, c.open
		}, advise)
		if got := strings.Join(done, " "); !errors.Is(err, c.want) || got != c.done {
			t.Errorf("%s: %v after %q, want %v after %q", name, err, got, c.want, c.done)
		}
	}
}

func TestBackendIsOne(t *testing.T) {
	var b Backend[string]
	open := func(context.Context) (string, error) { return "driver", nil }
	for name, err := range map[string]error{"no name": b.Use("", open), "no function": b.Use("x", nil)} {
		if !errors.Is(err, fault.Invalid) || b.Chosen() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Use("redis", open); err != nil || !b.Chosen() || b.Name != "redis" {
		t.Error(b, err)
	}
	if err := b.Use("etcd", open); !errors.Is(err, fault.Invalid) || b.Name != "redis" {
		t.Errorf("a second one: %v, %s", err, b.Name)
	}
	b.Dial = time.Minute
	d, err := b.Open("kv/redis", nil, func(d string) string { return "a(" + d + ")" }, func(d string) string { return "b(" + d + ")" })
	if d != "b(a(driver))" || err != nil {
		t.Errorf("%s, %v", d, err)
	}
}

func TestNewSaysWhoseErrorItIs(t *testing.T) {
	var n int
	for name, opt := range map[string]func(*int) error{
		"without a kind": func(*int) error { return errors.New("bad") }, "nil": nil,
		"not positive": func(*int) error { var d time.Duration; return Positive("timeout", 0, &d) },
		"no logger":    func(*int) error { var l *slog.Logger; return Logger(nil, &l) },
		"not given":    func(*int) error { return Given(nil, "WithX") },
	} {
		err := New("kv", &n, []func(*int) error{opt})
		if !errors.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), "kv: new: invalid: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := New[int, func(*int) error]("kv", &n, nil); err != nil {
		t.Error(err)
	}
	d, l := time.Duration(0), (*slog.Logger)(nil)
	if Given(0, "WithX") != nil || Positive("timeout", 1, &d) != nil || d != 1 || Logger(slog.Default(), &l) != nil || l == nil {
		t.Error(d, l)
	}
}

func TestAtLeastTakesTheLeastAndSaysIt(t *testing.T) {
	for _, c := range []struct {
		n    int
		d    time.Duration
		want string
	}{
		{0, time.Second - 1, "replicas 0, want 1 or more; period 999.999999ms, want 1s or more"},
		{1, time.Second, ""},
		{2, time.Second + 1, ""},
	} {
		n, d := -1, time.Duration(-1)
		err := fault.Join(AtLeast("replicas", c.n, 1, &n), AtLeast("period", c.d, time.Second, &d))
		if c.want == "" {
			if err != nil || n != c.n || d != c.d {
				t.Errorf("%d, %s: %v, and %d, %s are set", c.n, c.d, err, n, d)
			}
			continue
		}
		if text := strings.ReplaceAll(fmt.Sprint(err), "invalid: ", ""); !errors.Is(err, fault.Invalid) || text != c.want || n != -1 || d != -1 {
			t.Errorf("%d, %s: %q, want %q, and %d, %s are set", c.n, c.d, text, c.want, n, d)
		}
	}
}

func TestDeadlineIsTheCallersOwn(t *testing.T) {
	own, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if ctx, leave := Deadline(own, time.Minute); ctx != own {
		t.Error("a context with a deadline got another")
	} else if leave(); own.Err() != nil {
		t.Error("the caller's context was ended")
	}
	ctx, leave := Deadline(t.Context(), time.Minute)
	at, ok := ctx.Deadline()
	if left := time.Until(at); !ok || left <= 0 || left > time.Minute {
		t.Errorf("%v left, %v", left, ok)
	}
	if leave(); ctx.Err() == nil {
		t.Error("leave does not end it")
	}
}

func TestErrorsOfOptionsKeepTheirKind(t *testing.T) {
	for _, want := range []error{fault.Invalid, fault.Unsupported, fault.Unavailable} {
		err := New("kv", new(int), []func(*int) error{func(*int) error { return fault.Markf(want, "bad") }})
		if fault.KindOf(err) != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// mute is a driver without advice.
type mute struct{}

func (mute) Ping(context.Context) error { return nil }

func TestWhatIsNoDriver(t *testing.T) {
	var none *mute
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		driver any
		err    error
		want   error
	}{
		"a driver":               {mute{}, nil, nil},
		"a driver and an error":  {mute{}, bad, bad},
		"an error":               {nil, bad, bad},
		"nothing":                {nil, nil, fault.Invalid},
		"a nil pointer":          {none, nil, fault.Invalid},
		"a nil pointer, and bad": {none, bad, bad},
	} {
		b := Backend[any]{Dial: time.Minute}
		err := b.Use("x", func(context.Context) (any, error) { return c.driver, c.err })
		if err != nil {
			t.Fatal(err)
		}
		wrapped := 0
		_, err = b.Open("kv/x", func(string) { t.Errorf("%s: advice", name) }, func(d any) any { wrapped++; return d })
		if !errors.Is(err, c.want) || err != nil && !strings.HasPrefix(err.Error(), "kv/x: new: invalid: ") || (wrapped == 1) != (err == nil) {
			t.Errorf("%s: %v after %d wraps, want %v", name, err, wrapped, c.want)
		}
	}
	var done []string
	if _, err := Open("kv/x", time.Minute, false, func(context.Context) (any, error) { return driver{said: "x", done: &done}, nil }, nil); err != nil || len(done) != 1 {
		t.Errorf("nobody to advise: %v, %v", done, err)
	}
}
