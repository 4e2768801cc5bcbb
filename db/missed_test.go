package db

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A declaration adds to those before it, and the newer one says how long records live.
func TestDeclarationsOfATable(t *testing.T) {
	old := TableSpec{Indexes: [][]Order{{{Key: "a"}}}, FullText: []string{"t"}, expires: true, ttl: time.Hour, soft: true, keep: time.Minute}
	for name, c := range map[string]struct {
		next TableSpec
		want string
	}{
		"none":    {TableSpec{}, "[a] [t] true 1h0m0s true 1m0s"},
		"others":  {TableSpec{Indexes: [][]Order{{{Key: "b"}}}, FullText: []string{"s", "t"}, expires: true, ttl: time.Second, soft: true, keep: time.Second}, "[a b] [s t] true 1s true 1s"},
		"without": {TableSpec{expires: true, soft: true}, "[a] [t] true 0s true 0s"},
	} {
		s := c.next.With(old)
		var indexes []string
		for _, keys := range s.Indexes {
			indexes = append(indexes, indexName(keys))
		}
		if got := fmt.Sprint(indexes, s.FullText, " ", s.expires, " ", s.ttl, " ", s.soft, " ", s.keep); strings.ReplaceAll(got, "] [", "][") != strings.ReplaceAll(c.want, "] [", "][") {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	d, _, m := opened(t, nil, nil, FullText("t"), Index("a"))
	for range 2 {
		if _, err := d.Table(t.Context(), "things", FullText("t"), Index("a")); err != nil {
			t.Fatal(err)
		}
	}
	if tb := m.tables["things"]; len(tb.texts) != 1 || len(tb.indexes) != len(builtin)+1 {
		t.Errorf("declared again: %d indexes of words, and %d others", len(tb.texts), len(tb.indexes))
	}
}

// A page that is full needs no further look; one with expired records does.
func TestHowOftenASearchLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stubborn
		_, tb, _ := opened(t, func(d Driver) Driver { s = &stubborn{bare: bare{d}}; return s }, []Option{WithPurgeInterval(time.Hour)}, TTL(time.Minute))
		for i := range 5 {
			r := &Record{ID: fmt.Sprint(i)}
			if i == 1 {
				r.Expires = time.Now().Add(time.Second)
			}
			if err := tb.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		for limit, want := range map[int]struct {
			ids   string
			looks int
		}{1: {"0", 1}, 2: {"0 2", 2}, 3: {"0 2 3", 2}, 4: {"0 2 3 4", 2}, 5: {"0 2 3 4", 2}, 6: {"0 2 3 4", 1}} {
			s.queries = 0
			rs, err := tb.(*table).query(t.Context(), Query{Order: []Order{{Key: FieldID}}, Limit: limit})
			var ids []string
			for _, r := range rs {
				ids = append(ids, r.ID)
			}
			if got := strings.Join(ids, " "); err != nil || got != want.ids || s.queries != want.looks {
				t.Errorf("limit %d: %q after %d looks, %v, want %q after %d", limit, got, s.queries, err, want.ids, want.looks)
			}
		}
	})
}

// logLines is a log that several goroutines write.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// What can't be purged is in the log, and Close ends it without a word.
func TestTheLogOfAPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &logLines{}
		d, tb, _ := opened(t, func(d Driver) Driver {
			return &stubborn{bare: bare{d}, refuses: map[string]error{"a": errors.New("down")}}
		}, []Option{WithPurgeInterval(time.Minute), WithLogger(slog.New(slog.NewTextHandler(lines, nil)))}, TTL(time.Second))
		if err := tb.Create(t.Context(), &Record{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute + time.Second)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(lines.text.String(), "expired records stay until the next time"); n < 8 || n > 12 {
			t.Errorf("%d lines in the log of ten failures", n)
		}
	})
}

// As many words as may be matched, and one more.
func TestTheLimitOfWords(t *testing.T) {
	_, tb, _ := opened(t, nil, []Option{WithScans()}, FullText("t"))
	var words []string
	for i := range maxWords + 1 {
		words = append(words, fmt.Sprint("w", i))
	}
	all := strings.Join(words[:maxWords], " ")
	if err := tb.Create(t.Context(), &Record{ID: "a", Metadata: map[string]any{"t": all}}); err != nil {
		t.Fatal(err)
	}
	if n, err := tb.Count(t.Context(), Where(Match("t", all))); err != nil || n != 1 {
		t.Errorf("%d words: %d, %v", maxWords, n, err)
	}
	for _, bad := range []string{strings.Join(words, " "), "", "!"} {
		if _, err := tb.Count(t.Context(), Where(Match("t", bad))); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
	if p, err := tb.Explain(t.Context(), Where(Match("t", "w1"))); err != nil || p.Sort || p.Scan || !slices.Equal(p.Indexes, []string{"match t"}) {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := tb.Explain(t.Context(), Where(Match("t", "w1")), OrderBy("t")); err != nil || !p.Sort {
		t.Errorf("in another order: %+v, %v", p, err)
	}
}

// Cursors are refused for what they are, and hold no more of a record than its place.
func TestWhatACursorHolds(t *testing.T) {
	_, tb, _ := opened(t, nil, []Option{WithScans()})
	for _, id := range []string{"a", "b", "c"} {
		if err := tb.Create(t.Context(), &Record{ID: id, Metadata: map[string]any{"l": []string{"element" + id}}}); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for cursor, more := "", true; more; {
		page, err := tb.Search(t.Context(), OrderBy("l"), Limit(1), After(cursor))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			ids = append(ids, r.ID)
		}
		cursor, more = page.Next, page.Next != ""
		text, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || strings.Contains(string(text), "element") {
			t.Errorf("a cursor holds %q, %v", text, err)
		}
	}
	if !slices.Equal(ids, []string{"a", "b", "c"}) {
		t.Errorf("found %q", ids)
	}
	for n, says := range map[int]string{signature - 1: "malformed cursor", signature: "not one of this search", signature + 1: "not one of this search"} {
		_, err := tb.Search(t.Context(), After(base64.RawURLEncoding.EncodeToString(make([]byte, n))))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("a cursor of %d bytes: %v, want %q", n, err, says)
		}
	}
}

// Ids that are made later sort later.
func TestIDsSortByTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 20 {
			ids = append(ids, NewID())
			time.Sleep(time.Millisecond)
		}
		if !slices.IsSorted(ids) {
			t.Errorf("ids %q", ids)
		}
	})
}

// What was copied for a delete that lost is taken away again, and what it replaced is put
// back: unless it is a copy of the record that lives.
func TestACopyThatIsTakenAway(t *testing.T) {
	born, other := time.Unix(100, 0).UTC(), time.Unix(200, 0).UTC()
	for name, c := range map[string]struct {
		old  *time.Time // when what was replaced was made; nil: nothing was
		live *time.Time // when what lives was made; nil: nothing does
		back bool
	}{
		"nothing replaced":                      {nil, &born, false},
		"an earlier copy of it, and it is gone": {&born, nil, true},
		"an earlier copy of it, and it lives":   {&born, &born, false},
		"an earlier copy, and another lives":    {&born, &other, true},
		"a copy of another record":              {&other, &born, true},
	} {
		_, tb, m := opened(t, func(d Driver) Driver { return bare{d} }, nil, SoftDelete(0))
		x, trash := tb.(*table), "things_deleted_"
		put := func(in string, r *Record) *Record {
			t.Helper()
			if err := m.Put(t.Context(), in, r, Condition{}); err != nil {
				t.Fatal(err)
			}
			return r
		}
		if c.live != nil {
			put("things", &Record{ID: "a", Created: *c.live})
		}
		var old *Record
		if c.old != nil {
			old = &Record{ID: "a", Created: *c.old, Metadata: map[string]any{"is": "old"}}
		}
		copied := put(trash, &Record{ID: "a", Created: born, Metadata: map[string]any{"is": "copy"}})
		if err := x.unbury(t.Context(), &Record{ID: "a", Created: born}, old, copied); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r := m.tables[trash].rows["a"]
		if (r != nil) != c.back || r != nil && r.Metadata["is"] != "old" {
			t.Errorf("%s: left is %+v, want what was replaced: %v", name, r, c.back)
		}
	}
}

// executing is a transaction that executes SQL, as those of databases do.
type executing struct {
	transaction
	execer Execer
}

func (x executing) Execer() Execer { return x.execer }

// withExecer is the memory with such transactions.
type withExecer struct {
	bare
	m      *memory
	execer Execer
}

func (d withExecer) Features() Features { return d.m.Features() }

func (d withExecer) Begin(ctx context.Context, level IsolationLevel) (transaction, error) {
	tx, err := d.m.Begin(ctx, level)
	return executing{tx, d.execer}, err
}

// Changes are told where the transaction executes; those of one that nobody asks about
// are not noted.
func TestWhereChangesAreTold(t *testing.T) {
	execer := &fakeExecer{}
	var got []Execer
	wrap := func(d Driver) Driver { return withExecer{bare{d}, d.(*memory), execer} }
	_, tb, _ := opened(t, wrap, []Option{WithChanges(func(_ context.Context, tx Execer, _ []Change) error { got = append(got, tx); return nil })})
	if err := tb.Create(t.Context(), &Record{ID: "a"}); err != nil || len(got) != 1 || got[0] != execer {
		t.Errorf("told where %v, %v, want in the transaction", got, err)
	}
	d, _, _ := opened(t, nil, nil)
	if err := d.Tx(t.Context(), func(ctx context.Context, tx DB) error {
		x, err := tx.Table(ctx, "things")
		if err == nil {
			err = x.Create(ctx, &Record{ID: "a"})
		}
		if n := len(tx.(*txDB).changes); n != 0 {
			t.Errorf("%d changes are noted, and nobody asks", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

type fakeExecer struct{ Execer }

// A cursor is good in a process that has the same key, and by default in no other.
func TestWhoseCursorsAreGood(t *testing.T) {
	key, other := WithCursorKey(make([]byte, 16)), WithCursorKey([]byte("another key of 16"))
	for name, c := range map[string]struct {
		mine, theirs []Option
		good         bool
	}{
		"the same key": {[]Option{key}, []Option{key}, true}, "another key": {[]Option{key}, []Option{other}, false},
		"a key and none": {[]Option{key}, nil, false}, "none": {nil, nil, false},
	} {
		var tables []Table
		for _, opts := range [][]Option{c.mine, c.theirs} {
			_, tb, _ := opened(t, nil, opts)
			for _, id := range []string{"a", "b"} {
				if err := tb.Create(t.Context(), &Record{ID: id}); err != nil {
					t.Fatal(err)
				}
			}
			tables = append(tables, tb)
		}
		page, err := tables[0].Search(t.Context(), Limit(1))
		if err != nil || page.Next == "" {
			t.Fatalf("%s: %+v, %v", name, page, err)
		}
		if _, err := tables[0].Search(t.Context(), After(page.Next)); err != nil {
			t.Errorf("%s: its own cursor: %v", name, err)
		}
		if _, err := tables[1].Search(t.Context(), After(page.Next)); (err == nil) != c.good {
			t.Errorf("%s: %v, want it to be good: %v", name, err, c.good)
		}
	}
	m := newMemory()
	spec := TableSpec{Name: "t", Indexes: [][]Order{{{Key: "k"}}}}
	if err := m.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]bool{"t": true, "none": false} {
		if has, err := m.HasIndex(t.Context(), table, spec.Indexes[0]); has != want || err != nil {
			t.Errorf("%s has the index: %v, %v", table, has, err)
		}
	}
}
