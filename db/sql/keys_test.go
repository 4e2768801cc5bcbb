package sql

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
)

// A text and its sortable form contain, begin with and come before others alike.
func TestSortableTextsCompareAsTextsDo(t *testing.T) {
	var texts []string
	alphabet := []string{"", "\x00", "\x01", "\x02", "\x03", "\x04", "\x05", "\x06", "a", "\u00fc"}
	for _, a := range alphabet {
		for _, b := range alphabet {
			texts = append(texts, a+b)
		}
	}
	for _, a := range texts {
		x := escape(a)
		if strings.Contains(x, "\x00") {
			t.Errorf("%q has a NUL as %q", a, x)
		}
		for _, b := range texts {
			y := escape(b)
			if strings.Compare(a, b) != strings.Compare(x, y) || strings.Contains(a, b) != strings.Contains(x, y) || strings.HasPrefix(a, b) != strings.HasPrefix(x, y) {
				t.Errorf("%q and %q are not to each other as %q and %q", a, b, x, y)
			}
		}
	}
	values := []any{nil, []string{"a"}, false, true, int64(-2), -1.5, int64(0), 1.5, int64(2), "", "a", "b", time.Unix(0, 0), time.Unix(1, 0)}
	for i, v := range values[1:] {
		if a, b := sortable(values[i]), sortable(v); a >= b {
			t.Errorf("%v is %q and %v is %q", values[i], a, v, b)
		}
	}
	if sortable(int64(2)) != sortable(2.0) || sortable("2") == sortable(int64(2)) {
		t.Error("2 is not 2.0, or it is a text")
	}
}

func TestNamesOfFieldsAndIndexes(t *testing.T) {
	for key, want := range map[string]string{"a": "a", "z": "z", "az09_": "az09_", "_a": "_5f61", "0": "_30", "A": "_41", "a-b": "_612d62", "a.b": "_612e62", "ü": "_c3bc", "a`": "_6160", "a{": "_617b", "a/": "_612f", "a:": "_613a"} {
		if got := field(key); got != want {
			t.Errorf("%q is the field %q, want %q", key, got, want)
		}
	}
	long := strings.Repeat("a", 100)
	for _, c := range []struct {
		n    int
		want int
	}{{49, 49}, {50, 50}, {51, 50}, {100, 50}} {
		if got := physical(long[:c.n]); len(got) != c.want || (c.n > 50) != strings.Contains(got, "$") {
			t.Errorf("a name of %d bytes is %q", c.n, got)
		}
	}
	if physical(long[:51]) == physical(long[:52]) {
		t.Error("two long names are one")
	}
	if got := indexName("t", []db.Order{{Key: "a"}, {Key: "b", Desc: true}, {Key: db.FieldCreated}}); got != "t$k_a$k_b$d$created" {
		t.Errorf("an index is called %q", got)
	}
}

func TestListsHaveEachElementOnce(t *testing.T) {
	args, n := listRows(&db.Record{ID: "1", Metadata: map[string]any{"a": []string{"x", "y", "x"}, "b": "z", "c": []string{}}})
	if n != 2 || !slices.Equal(args, []any{"1", "a", "x", "1", "a", "y"}) {
		t.Errorf("%d rows: %q", n, args)
	}
	doc, lists := encodeKeys(map[string]any{"a": []string{"x", "y", "x"}, "b": "z", "c": []string{}})
	if lists != 3 || !strings.HasPrefix(doc, `{"a":"`) || !strings.Contains(doc, `,"b":"sz",`) {
		t.Errorf("%d rows of %s", lists, doc)
	}
}

// The keys by whose indexes a search may go, those of an Equal first.
func TestKeysThatMayLeadASearch(t *testing.T) {
	one := func(keys ...string) (index []db.Order) {
		for _, k := range keys {
			index = append(index, db.Order{Key: k})
		}
		return index
	}
	ab := db.And(db.Greater("a", 1), db.Equal("b", 2))
	for _, c := range []struct {
		name    string
		f       db.Filter
		indexes [][]db.Order
		want    []string
	}{
		{"none", ab, nil, nil},
		{"both", ab, [][]db.Order{one("a"), one("b")}, []string{"b", "a"}},
		{"one", ab, [][]db.Order{one("a"), one("c", "b")}, []string{"a"}},
		{"one index of both", ab, [][]db.Order{one("a"), one("b"), one("b", "a")}, nil},
		{"an index that begins with neither", ab, [][]db.Order{one("a"), one("b"), one("c", "a", "b")}, []string{"b", "a"}},
		{"an index of one and another", ab, [][]db.Order{one("a", "c"), one("b")}, []string{"b", "a"}},
		{"the id", db.And(db.Equal(db.FieldID, "x"), ab), [][]db.Order{one("a"), one("b")}, nil},
		{"ids", db.And(db.In(db.FieldID, "x", "y"), ab), [][]db.Order{one("a"), one("b")}, nil},
		{"a range of ids", db.And(db.Greater(db.FieldID, "x"), ab), [][]db.Order{one("a"), one("b")}, []string{"b", "a"}},
		{"times", db.And(db.Greater(db.FieldCreated, time.Now()), db.Less(db.FieldUpdated, time.Now())), nil, []string{db.FieldCreated, db.FieldUpdated}},
		{"the version", db.Equal(db.FieldVersion, 1), nil, nil},
		{"twice", db.And(db.Greater("a", 1), db.Less("a", 2)), [][]db.Order{one("a")}, []string{"a"}},
		{"not equal", db.NotEqual("a", 1), [][]db.Order{one("a")}, nil},
		{"part of a text", db.Contains("a", "x"), [][]db.Order{one("a")}, nil},
	} {
		tb := newTable(sql.SQLite, "t")
		tb.indexes = c.indexes
		if got := tb.leaders(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestExistingTablesAreNamedWell(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Existing
		why  string // "" if it is well
	}{
		{"t", Existing{ID: "id"}, ""},
		{"t", Existing{ID: "id", Table: "s.t"}, ""},
		{"t", Existing{ID: "id", Table: "a.s.t"}, "want a name, or schema.name"},
		{"t", Existing{ID: "id", Table: ".t"}, "want a name, or schema.name"},
		{"t", Existing{ID: "id", Table: "s."}, "want a name, or schema.name"},
		{"t", Existing{ID: "id", Table: "a\"b"}, "want a name, or schema.name"},
		{"t", Existing{ID: "id", Table: "a?"}, "want a name, or schema.name"},
		{"t", Existing{}, "no column for ID"},
		{"a b", Existing{ID: "id"}, "takes no such name"},
		{"t", Existing{ID: "id", Keys: map[string]string{"a": "b"}}, ""},
		{"t", Existing{ID: "id", Keys: map[string]string{"": "b"}}, `the key ""`},
		{"t", Existing{ID: "id", Keys: map[string]string{"@id": "b"}}, `the key "@id"`},
	} {
		_, err := newConfig([]Option{WithExisting(c.name, c.e)})
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%q, %+v: %v, want %q", c.name, c.e, err, c.why)
		}
	}
	same := WithExisting("t", Existing{ID: "id"})
	if _, err := newConfig([]Option{same, same}); err == nil || !strings.Contains(err.Error(), "there twice") {
		t.Errorf("twice: %v", err)
	}
	if _, err := newConfig([]Option{nil}); err == nil || !strings.Contains(err.Error(), "nil option") {
		t.Errorf("nil: %v", err)
	}
	keys := map[string]string{"a": "b"}
	conf, err := newConfig([]Option{WithExisting("t", Existing{ID: "id", Keys: keys})})
	keys["a"] = "changed"
	if got := conf.existing["t"]; err != nil || got.Table != "t" || got.Keys["a"] != "b" {
		t.Errorf("%+v, %v", got, err)
	}
}
