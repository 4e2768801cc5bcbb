package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// opened is a database in memory with one table, and its driver.
func opened(t *testing.T, wrap func(d Driver) Driver, opts []Option, table ...TableOption) (DB, Table, *memory) {
	t.Helper()
	m := newMemory()
	var d Driver = m
	if wrap != nil {
		d = wrap(m)
	}
	all, err := New(append(opts, WithDriver("memory", func(context.Context) (Driver, error) { return d, nil }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { all.Close() })
	tb, err := all.Table(t.Context(), "things", table...)
	if err != nil {
		t.Fatal(err)
	}
	return all, tb, m
}

// bare has nothing of the memory but what every driver has.
type bare struct{ Driver }

func (b bare) Features() Features {
	f := b.Driver.(*memory).Features()
	f.Transactions = false
	return f
}

// The sum of two values, to the limits of their types; "!" begins an error.
func TestSumsOfMetadata(t *testing.T) {
	for _, c := range []struct {
		a, b any
		want string
	}{
		{int64(1), int64(2), "int64 3"}, {int64(1), int64(-1), "int64 0"}, {int64(0), int64(0), "int64 0"}, {int64(5), int64(0), "int64 5"},
		{int64(math.MaxInt64), int64(0), "int64 9223372036854775807"}, {int64(math.MaxInt64 - 1), int64(1), "int64 9223372036854775807"}, {int64(math.MaxInt64), int64(1), "!64 bits"},
		{int64(math.MinInt64), int64(0), "int64 -9223372036854775808"}, {int64(math.MinInt64 + 1), int64(-1), "int64 -9223372036854775808"}, {int64(math.MinInt64), int64(-1), "!64 bits"},
		{int64(1), 0.5, "float64 1.5"}, {0.5, int64(1), "float64 1.5"}, {0.5, 0.5, "float64 1"}, {math.MaxFloat64, math.MaxFloat64, "!"},
		{"x", int64(1), "!no number to add to"}, {int64(1), "x", "!is to be incremented by a string"}, {true, 1.5, "!no number to add to"}, {1.5, true, "!incremented by a bool"},
	} {
		got, err := sum("k", c.a, c.b)
		if says, bad := strings.CutPrefix(c.want, "!"); bad {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), says) || got != nil {
				t.Errorf("%v and %v: %v, %v, want %q", c.a, c.b, got, err, says)
			}
		} else if s := fmt.Sprintf("%T %v", got, got); err != nil || s != c.want {
			t.Errorf("%v and %v: %s, %v, want %s", c.a, c.b, s, err, c.want)
		}
	}
}

// Edits change what they say, and one that is refused changes nothing.
func TestEditsThatAreRefused(t *testing.T) {
	_, tb, _ := opened(t, nil, nil)
	if err := tb.Create(t.Context(), &Record{ID: "a", Metadata: map[string]any{"n": 1, "s": "x"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit Edit
		ok   bool
	}{
		"set": {Set("t", "y"), true}, "set a bad value": {Set("t", struct{}{}), false}, "set a bad key": {Set("", 1), false}, "set a key of the package's": {Set("@x", 1), false},
		"increment": {Increment("n", 2), true}, "increment a new one": {Increment("m", 1), true}, "increment by no number": {Increment("n", "x"), false},
		"increment a text": {Increment("s", 1), false}, "increment a bad key": {Increment("", 1), false}, "increment by a bad value": {Increment("n", struct{}{}), false},
		"unset": {Unset("t", "none"), true}, "none": {Edit{}, false},
	} {
		before, err := tb.Read(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		_, err = tb.Patch(t.Context(), "a", Set("also", name), c.edit)
		after, e := tb.Read(t.Context(), "a")
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalid) || e != nil || (after.Version > before.Version) != c.ok {
			t.Errorf("%s: %v, version %d after %d", name, err, after.Version, before.Version)
		}
		if c.ok && after.Metadata["also"] != name {
			t.Errorf("%s: %v", name, after.Metadata)
		}
	}
}

// A record expires at its time, and not before; without a TTL it may not.
func TestWhenRecordsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tb, m := opened(t, nil, []Option{WithPurgeInterval(24 * time.Hour)}, TTL(time.Hour))
		now := time.Now()
		for id, expires := range map[string]time.Time{"default": {}, "later": now.Add(2 * time.Hour), "soon": now.Add(time.Second)} {
			if err := tb.Create(t.Context(), &Record{ID: id, Expires: expires}); err != nil {
				t.Fatal(err)
			}
		}
		there := func(want string) {
			t.Helper()
			var ids []string
			for r, err := range tb.All(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.ID)
			}
			n, err := tb.Count(t.Context())
			if got := strings.Join(ids, " "); got != want || err != nil || int(n) != len(ids) {
				t.Errorf("after %v %q are there, and %d are counted, %v, want %q", time.Since(now), got, n, err, want)
			}
			for _, id := range []string{"default", "later", "soon"} {
				_, err := tb.Read(t.Context(), id)
				if is := slices.Contains(ids, id); is != (err == nil) || !is && !errors.Is(err, ErrNotFound) {
					t.Errorf("after %v %s: %v", time.Since(now), id, err)
				}
			}
		}
		for _, c := range []struct {
			sleep time.Duration
			want  string
		}{{0, "default later soon"}, {time.Second - 1, "default later soon"}, {1, "default later"}, {time.Hour - time.Second - 1, "default later"}, {1, "later"}, {time.Hour - 1, "later"}, {1, ""}} {
			time.Sleep(c.sleep)
			there(c.want)
		}
		if n := len(m.tables["things"].rows); n != 3 {
			t.Errorf("%d rows are left, want all until they are purged or their id is used", n)
		}
		for id, err := range map[string]error{"default": tb.Update(t.Context(), &Record{ID: "default", Version: 1}), "later": tb.Delete(t.Context(), "later")} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("a write to %s, which has expired: %v, want ErrNotFound", id, err)
			}
		}
		for _, expires := range []time.Duration{-1, 0, time.Microsecond} {
			err := tb.Create(t.Context(), &Record{ID: "soon", Expires: time.Now().Add(expires)})
			if ok := expires > 0; ok != (err == nil) || !ok && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "has passed")) {
				t.Errorf("created to expire in %v: %v", expires, err)
			}
		}
		_, plain, _ := opened(t, nil, nil)
		if err := plain.Create(t.Context(), &Record{ID: "a", Expires: time.Now().Add(time.Hour)}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "without TTL") {
			t.Errorf("without TTL: %v, want ErrInvalid", err)
		}
	})
	for d, ok := range map[time.Duration]bool{-1: false, 0: true} {
		if err := TTL(d)(&TableSpec{}); (err == nil) != ok {
			t.Errorf("TTL(%v): %v", d, err)
		}
		if err := SoftDelete(d)(&TableSpec{}); (err == nil) != ok {
			t.Errorf("SoftDelete(%v): %v", d, err)
		}
	}
}

// stubborn can't delete some records.
type stubborn struct {
	bare
	refuses map[string]error
	queries int
}

func (s *stubborn) Delete(ctx context.Context, table, id string, version uint64) error {
	if err := s.refuses[id]; err != nil {
		return err
	}
	return s.Driver.Delete(ctx, table, id, version)
}

func (s *stubborn) Query(ctx context.Context, table string, q Query) ([]*Record, error) {
	s.queries++
	return s.Driver.Query(ctx, table, q)
}

// What can't be removed holds up nothing else, and is tried again the next time; what
// another has removed is no failure. A full page is followed by the next one.
func TestASweepGoesOn(t *testing.T) {
	for _, c := range []struct {
		name    string
		n       int
		refuses map[string]error
		left    int
		queries int
		fails   bool
	}{
		{"none", 0, nil, 0, 1, false},
		{"some", 3, nil, 0, 1, false},
		{"just a page", purged, nil, 0, 2, false},
		{"more than a page", purged + 1, nil, 0, 2, false},
		{"one that is refused", 3, map[string]error{"x0001": errors.New("down")}, 1, 1, true},
		{"one that another has removed", 3, map[string]error{"x0001": fault.NotFound}, 1, 1, false},
		{"one that another has changed", 3, map[string]error{"x0001": fault.Conflict}, 1, 1, false},
		{"one that is refused in a full page", purged + 1, map[string]error{"x0001": errors.New("down")}, 2, 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s *stubborn
			_, tb, m := opened(t, func(d Driver) Driver { s = &stubborn{bare: bare{d}, refuses: c.refuses}; return s }, []Option{WithPurgeInterval(24 * time.Hour)}, TTL(time.Second))
			for i := range c.n {
				if err := tb.Create(t.Context(), &Record{ID: fmt.Sprintf("x%04d", i)}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			s.queries = 0
			err := tb.(*table).sweep(t.Context())
			if n := len(m.tables["things"].rows); n != c.left || s.queries != c.queries || (err != nil) != c.fails {
				t.Errorf("%s: %d are left after %d searches, %v, want %d after %d", c.name, n, s.queries, err, c.left, c.queries)
			}
		})
	}
}

// What a search finds in memory is what a look at every record finds, whatever index it
// goes by, in every order and on every page.
func TestIndexesFindWhatAScanFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	_, tb, m := opened(t, nil, []Option{WithScans()}, Index("a"), Index("-b"), Index("a", "b"), Index("b", "-a"), Index("s"))
	values := []any{0, 1, 2, 3, -1, 1.5, "x", "xy", "y", true, nil}
	var all []*Record
	write := func(i int) *Record {
		r := &Record{ID: fmt.Sprintf("%03d", i), Metadata: map[string]any{"l": []string{fmt.Sprint(i % 3), fmt.Sprint(i % 5)}, "s": fmt.Sprint(i % 10)}}
		for _, k := range []string{"a", "b"} {
			if v := values[random.IntN(len(values))]; v != nil {
				r.Metadata[k] = v
			}
		}
		return r
	}
	for i := range 150 {
		if err := tb.Create(t.Context(), write(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 150 { // and some change or go
		var err error
		switch random.IntN(4) {
		case 0:
			err = tb.Delete(t.Context(), fmt.Sprintf("%03d", i))
		case 1:
			err = tb.Update(t.Context(), write(i), Force())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range m.tables["things"].rows {
		all = append(all, r)
	}
	pick := func() any { return values[random.IntN(len(values)-1)] }
	leaf := func() Filter {
		key := []string{"a", "b"}[random.IntN(2)]
		switch random.IntN(11) {
		case 0:
			return Equal(key, pick())
		case 1:
			return Less(key, pick())
		case 2:
			return LessOrEqual(key, pick())
		case 3:
			return Greater(key, pick())
		case 4:
			return GreaterOrEqual(key, pick())
		case 5:
			return In(key, pick(), pick())
		case 6:
			return Prefix("s", fmt.Sprint(random.IntN(10)))
		case 7:
			return Has("l", fmt.Sprint(random.IntN(6)))
		case 8:
			return Exists(key)
		case 9:
			return Not(Equal(key, pick()))
		}
		return Equal(FieldID, fmt.Sprintf("%03d", random.IntN(150)))
	}
	orders := [][]Order{nil, {{Key: "a"}}, {{Key: "a", Desc: true}}, {{Key: "b"}, {Key: "a"}}, {{Key: "b"}, {Key: "a", Desc: true}}, {{Key: "a"}, {Key: "b"}}, {{Key: "a", Desc: true}, {Key: "b", Desc: true}}, {{Key: FieldID, Desc: true}}, {{Key: "s"}, {Key: "a"}}}
	for n := range 150 {
		f := leaf()
		switch random.IntN(4) {
		case 0:
			f = And(f, leaf())
		case 1:
			f = Or(f, leaf())
		case 2:
			f = And(leaf(), Or(f, leaf()))
		}
		order, limit := orders[random.IntN(len(orders))], 1+random.IntN(9)
		q, err := tb.(*table).newQuery([]SearchOption{Where(f), OrderByKeys(order...)})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		q.Limit = len(all) + 1
		matching := slices.DeleteFunc(slices.Clone(all), func(r *Record) bool { return !f.Match(r) })
		for _, r := range q.cut(matching) {
			want = append(want, r.ID)
		}
		var got []string
		for cursor, more := "", true; more; {
			page, err := tb.Search(t.Context(), Where(f), OrderByKeys(order...), Limit(limit), After(cursor))
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Records) > limit {
				t.Fatalf("a page of %d, limit %d", len(page.Records), limit)
			}
			for _, r := range page.Records {
				got = append(got, r.ID)
			}
			cursor, more = page.Next, page.Next != ""
		}
		if !slices.Equal(got, want) {
			t.Fatalf("search %d, %+v by %v in pages of %d: %q, want %q", n, f, order, limit, got, want)
		}
		if count, err := tb.Count(t.Context(), Where(f)); err != nil || int(count) != len(want) {
			t.Fatalf("search %d, %+v: %d are counted, %v, want %d", n, f, count, err, len(want))
		}
	}
}

// A set of sorted entries is what a map is, however its blocks are split and joined.
func TestSortedEntries(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, how := range []string{"rising", "falling", "mixed"} {
		var s sorted
		want := map[string]*Record{}
		key := func(i int) string { return fmt.Sprintf("%06d", i) }
		for i := range 3000 {
			k := key(i)
			switch how {
			case "falling":
				k = key(3000 - i)
			case "mixed":
				k = key(random.IntN(2000))
			}
			r := &Record{ID: k}
			s.set(k, r)
			want[k] = r
		}
		check := func() {
			t.Helper()
			if s.n != len(want) {
				t.Fatalf("%s: %d entries, want %d", how, s.n, len(want))
			}
			n := 0
			for i, b := range s.blocks {
				n += len(b)
				if len(b) == 0 || len(b) > blockSize {
					t.Fatalf("%s: block %d has %d entries", how, i, len(b))
				}
			}
			if n != s.n {
				t.Fatalf("%s: the blocks have %d entries, want %d", how, n, s.n)
			}
			for range 30 {
				sp := span{key(random.IntN(3100)), key(random.IntN(3100))}
				if random.IntN(3) == 0 {
					sp.below = ""
				}
				var ids, back []string
				for r := range s.walk(sp, false) {
					ids = append(ids, r.ID)
				}
				for r := range s.walk(sp, true) {
					back = append(back, r.ID)
				}
				slices.Reverse(back)
				var all []string
				for k, r := range want {
					if k >= sp.from && (sp.below == "" || k < sp.below) {
						all = append(all, r.ID)
					}
				}
				slices.Sort(all)
				if !slices.Equal(ids, all) || !slices.Equal(back, all) {
					t.Fatalf("%s: from %s below %s: %d forwards, %d back, want %d", how, sp.from, sp.below, len(ids), len(back), len(all))
				}
				if e := s.estimate(sp); e > 2*len(all)+2*blockSize || e < len(all)/2-2*blockSize || len(s.blocks) < 3 && e != len(all) {
					t.Errorf("%s: estimated %d of %d", how, e, len(all))
				}
			}
		}
		check()
		if blocks := len(s.blocks); how == "rising" && blocks > 3000/blockSize+1 {
			t.Errorf("rising keys are in %d blocks, want full ones", blocks)
		}
		for i := range 3000 {
			k := key(random.IntN(3001))
			s.remove(k)
			delete(want, k)
			if i%1000 == 999 {
				check()
			}
		}
		for k := range want {
			s.remove(k)
			s.remove(k)
		}
		if s.n != 0 || len(s.blocks) != 0 {
			t.Errorf("%s: %d entries in %d blocks are left", how, s.n, len(s.blocks))
		}
	}
}

// A plan's cost decides: of two ways the one to fewer records, and of equals the one that
// has the order.
func TestHowMemoryChoosesAnIndex(t *testing.T) {
	_, tb, m := opened(t, nil, []Option{WithScans()}, Index("few"), Index("many"), Index("many", "n"))
	for i := range 100 {
		if err := tb.Create(t.Context(), &Record{ID: fmt.Sprintf("%03d", i), Metadata: map[string]any{"few": i % 20, "many": i % 2, "n": i, "l": []string{fmt.Sprint(i % 4)}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		filter Filter
		order  string
		index  string
		sorted int
	}{
		{And(Equal("few", 3), Equal("many", 1)), "", "few", 1},
		{And(Equal("many", 1), Equal("few", 3)), "", "few", 1},
		{Equal("many", 1), "", "many", 1},
		{Equal("many", 1), "n", "many,n", 2},
		{Equal("many", 1), "-n", "many,n", 2},
		{And(Equal("many", 1), Has("l", "1")), "", "has", 1},
		{Has("l", "1"), "n", "has", 0},
		{Filter{}, "many", "many", 2},
		{Filter{}, "none", "@id", 0},
		{Filter{}, "", "@id", 1},
	} {
		opts := []SearchOption{Where(c.filter)}
		if c.order != "" {
			opts = append(opts, OrderBy(c.order))
		}
		q, err := tb.(*table).newQuery(opts)
		if err != nil {
			t.Fatal(err)
		}
		a := m.tables["things"].plan(q)
		if len(a.reads) != 1 || a.reads[0].named != c.index || a.sorted != c.sorted {
			t.Errorf("%+v by %q: %d reads of %s, %d keys in order, want %s and %d", c.filter, c.order, len(a.reads), a.reads[0].named, a.sorted, c.index, c.sorted)
		}
	}
}

// What a field or a key of a record is, before and after what is kept in its metadata is
// taken out.
func TestValuesOfRecords(t *testing.T) {
	at := time.Unix(100, 0).UTC()
	kept := &Record{ID: "i", Version: 3, Created: at, Updated: at.Add(1), Metadata: map[string]any{"k": "v", FieldExpires: at.Add(2), FieldDeleted: at.Add(3), keyVersion: int64(7), keyExpires: at.Add(4)}}
	open := kept.Clone().reveal()
	for key, want := range map[string][2]any{
		FieldID: {"i", "i"}, FieldVersion: {int64(3), int64(7)}, FieldCreated: {at, at}, FieldUpdated: {at.Add(1), at.Add(1)}, FieldExpires: {at.Add(2), at.Add(2)}, FieldDeleted: {at.Add(3), at.Add(3)},
		keyVersion: {int64(7), int64(7)}, keyExpires: {at.Add(4), nil}, "k": {"v", "v"}, "none": {nil, nil},
	} {
		if a, b := kept.Value(key), open.Value(key); a != want[0] || b != want[1] {
			t.Errorf("%s is %v, and %v when it is taken out, want %v", key, a, b, want)
		}
	}
	if len(open.Metadata) != 1 || open.Version != 7 {
		t.Errorf("%+v", open)
	}
	plain := (&Record{ID: "i", Version: 3, Metadata: map[string]any{}}).reveal()
	if plain.Metadata != nil || plain.Value(FieldExpires) != nil || plain.Value(FieldDeleted) != nil || plain.Value(keyVersion) != nil || plain.expired(time.Now()) {
		t.Errorf("%+v", plain)
	}
	for d, want := range map[time.Duration]bool{-1: false, 0: true, 1: true} {
		if got := open.expired(at.Add(2 + d)); got != want {
			t.Errorf("%v after its time it has expired: %v", d, got)
		}
	}
	for k, want := range map[ChangeKind]string{-1: "unknown", 0: "unknown", Created: "created", Updated: "updated", Deleted: "deleted", 4: "deleted"} {
		if k.String() != want {
			t.Errorf("%d is %s", int(k), k)
		}
	}
}

// The changes of a transaction are told once, in order, with what they are; those of one
// that fails are not.
func TestWhatChangesSay(t *testing.T) {
	var told []string
	fails := false
	opts := []Option{WithChanges(func(_ context.Context, _ Execer, changes []Change) error {
		var list []string
		for _, c := range changes {
			list = append(list, fmt.Sprint(c.Table, "/", c.ID, " ", c.Kind, " ", c.Version, " ", c.Record != nil))
		}
		told = append(told, strings.Join(list, ", "))
		if fails {
			return errors.New("no")
		}
		return nil
	})}
	d, tb, _ := opened(t, nil, opts)
	ctx := t.Context()
	for _, c := range []struct {
		name string
		do   func() error
		fail bool
		want []string
	}{
		{"created", func() error { return tb.Create(ctx, &Record{ID: "a"}) }, false, []string{"things/a created 1 true"}},
		{"updated", func() error { return tb.Update(ctx, &Record{ID: "a", Version: 1}) }, false, []string{"things/a updated 2 true"}},
		{"upserted", func() error { return tb.Update(ctx, &Record{ID: "a"}, Upsert()) }, false, []string{"things/a updated 3 true"}},
		{"upserted again", func() error { return tb.Update(ctx, &Record{ID: "b"}, Upsert()) }, false, []string{"things/b created 1 true"}},
		{"deleted", func() error { return tb.Delete(ctx, "a") }, false, []string{"things/a deleted 3 true"}},
		{"deleted again", func() error { return tb.Delete(ctx, "a") }, true, nil},
		{"a batch", func() error { return tb.Batch(ctx, CreateOp(&Record{ID: "c"}), DeleteOp("b")) }, false, []string{"things/c created 4 true, things/b deleted 1 true"}},
		{"a transaction", func() error {
			return d.Tx(ctx, func(ctx context.Context, tx DB) error {
				x, err := tx.Table(ctx, "things")
				return errors.Join(err, x.Create(ctx, &Record{ID: "d"}), x.Update(ctx, &Record{ID: "c"}, Force()))
			})
		}, false, []string{"things/d created 4 true, things/c updated 5 true"}},
		{"one that reads", func() error {
			return d.Tx(ctx, func(ctx context.Context, tx DB) error {
				x, _ := tx.Table(ctx, "things")
				_, err := x.Read(ctx, "c")
				return err
			})
		}, false, nil},
		{"refused", func() error { fails = true; return tb.Create(ctx, &Record{ID: "e"}) }, true, []string{"things/e created 4 true"}},
	} {
		told = nil
		if err := c.do(); (err != nil) != c.fail {
			t.Errorf("%s: %v", c.name, err)
		}
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: told %q, want %q", c.name, told, c.want)
		}
	}
	if _, err := tb.Read(ctx, "e"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
}

// A batch that is refused does nothing and says which write it is; one that fails half
// way without transactions says what was done.
func TestABatchThatFails(t *testing.T) {
	for name, wrap := range map[string]func(d Driver) Driver{"transactions": nil, "none": func(d Driver) Driver { return bare{d} }} {
		for _, c := range []struct {
			what  string
			ops   func() []Op
			index int
			done  int // of a backend without transactions
			kind  error
		}{
			{"there already", func() []Op {
				return []Op{CreateOp(&Record{ID: "x"}), CreateOp(&Record{ID: "a"}), CreateOp(&Record{ID: "y"})}
			}, 1, 1, ErrExists},
			{"not there", func() []Op { return []Op{CreateOp(&Record{ID: "x"}), CreateOp(&Record{ID: "y"}), DeleteOp("none")} }, 2, 2, ErrNotFound},
			{"the first", func() []Op { return []Op{DeleteOp("none"), CreateOp(&Record{ID: "x"})} }, 0, 0, ErrNotFound},
			{"empty", func() []Op { return []Op{CreateOp(&Record{ID: "x"}), {}} }, 1, 1, ErrInvalid},
			{"not encoded", func() []Op { return []Op{CreateOp(&Record{ID: "x"}), {kind: "create", err: invalidf("bad")}} }, 1, 1, ErrInvalid},
		} {
			_, tb, m := opened(t, wrap, nil)
			if err := tb.Create(t.Context(), &Record{ID: "a"}); err != nil {
				t.Fatal(err)
			}
			ops := c.ops()
			err := tb.Batch(t.Context(), ops...)
			var b *BatchError
			if !errors.As(err, &b) || b.Index != c.index || !errors.Is(err, c.kind) {
				t.Errorf("%s, %s: %v, want write %d and %v", name, c.what, err, c.index, c.kind)
				continue
			}
			done := 0
			if name == "none" {
				done = c.done
			}
			if n := len(m.tables["things"].rows) - 1; n != done || (b.Errs != nil) != (done > 0) {
				t.Errorf("%s, %s: %d were done, Errs %v, want %d", name, c.what, n, b.Errs, done)
			}
			for i, err := range b.Errs {
				switch {
				case i < c.index && err != nil, i == c.index && !errors.Is(err, c.kind), i > c.index && !errors.Is(err, ErrUnavailable):
					t.Errorf("%s, %s: write %d: %v", name, c.what, i, err)
				}
			}
			for i, op := range ops {
				if op.r != nil && (op.r.Version > 0) != (i < done) {
					t.Errorf("%s, %s: the record of write %d has version %d", name, c.what, i, op.r.Version)
				}
			}
		}
	}
}

// A field of a collection is in the metadata unless it is empty and may be left out.
func TestFieldsOfACollection(t *testing.T) {
	type sub struct {
		S string `db:"s"`
	}
	type doc struct {
		*sub
		A int     `db:"a"`
		B int     `db:"b,omitempty"`
		P *string `db:"p"`
		L []string
	}
	_, tb, _ := opened(t, nil, nil)
	c, err := NewCollection[doc](tb)
	if err != nil {
		t.Fatal(err)
	}
	text := "x"
	for _, v := range []struct {
		doc  doc
		want string
	}{
		{doc{}, "map[a:0]"}, {doc{A: 1, B: 2}, "map[a:1 b:2]"}, {doc{P: &text}, "map[a:0 p:x]"}, {doc{sub: &sub{"y"}}, "map[a:0 s:y]"},
	} {
		if got := fmt.Sprint(c.metadata(v.doc)); got != v.want {
			t.Errorf("%+v: %s, want %s", v.doc, got, v.want)
		}
	}
}

// Spans of indexes, and the least text above others.
func TestSpans(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "a": "b", "a\xff": "b", "\xff": "", "a\xfe": "a\xff"} {
		if got := above([]byte(prefix)); got != want {
			t.Errorf("above %q is %q, want %q", prefix, got, want)
		}
	}
	for _, c := range []struct{ a, b, want span }{
		{span{"a", "z"}, span{"b", "y"}, span{"b", "y"}}, {span{"b", "y"}, span{"a", "z"}, span{"b", "y"}}, {span{"a", ""}, span{"", "b"}, span{"a", "b"}}, {span{"", "b"}, span{"a", ""}, span{"a", "b"}}, {span{}, span{}, span{}},
	} {
		if got := c.a.both(c.b); got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if k := dbvalue.SortKey(int64(1)); len(k) == 0 || string(appendPart(nil, k, true)) == string(appendPart(nil, k, false)) {
		t.Error("a direction makes no difference")
	}
}
