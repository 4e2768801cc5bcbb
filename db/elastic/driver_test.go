package elastic_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/elastic"
)

func TestRefreshesAreAsFewAsPromised(t *testing.T) {
	for _, c := range []struct {
		refresh  elastic.Refresh
		searches int // refreshes in what follows
		waits    int
	}{{elastic.RefreshOwn, 2, 0}, {elastic.RefreshSearches, 4, 0}, {elastic.RefreshWrites, 0, 2}, {elastic.RefreshNever, 0, 0}} {
		f, tb := stage(t, elastic.WithRefresh(c.refresh))
		search := func() {
			if _, err := tb.Search(t.Context()); err != nil {
				t.Error(err)
			}
		}
		search() // of what was there before
		search()
		for _, id := range []string{"a", "b"} {
			if err := tb.Create(t.Context(), &db.Record{ID: id}); err != nil {
				t.Error(err)
			}
		}
		search()
		if _, err := tb.Count(t.Context()); err != nil {
			t.Error(err)
		}
		if got, waits := f.count("/_refresh"), f.count("refresh=wait_for"); got != c.searches || waits != c.waits {
			t.Errorf("refresh %d: %d refreshes and %d writes that wait, want %d and %d", c.refresh, got, waits, c.searches, c.waits)
		}
	}
	f, tb := stage(t)
	f.on(fail("_refresh", 1, 503, ""))
	if _, err := tb.Search(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a search that may miss a write: %v, want ErrUnavailable", err)
	}
	f.on(fail("_refresh", 1, 200, `{"_shards":{"failed":1}}`))
	if _, err := tb.Search(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a shard that was not refreshed: %v, want ErrUnavailable", err)
	}
}

func TestPartialResultsAreErrors(t *testing.T) {
	f, tb := stage(t)
	for op, answer := range map[string]string{
		"_search": `{"hits":{"hits":[]},"_shards":{"failed":1}}`, "_count": `{"count":1,"_shards":{"failed":1}}`, "_mget": `{"docs":[]}`,
	} {
		f.on(fail(op, 1, 200, answer))
		var err error
		switch op {
		case "_search":
			_, err = tb.Search(t.Context())
		case "_count":
			_, err = tb.Count(t.Context())
		default:
			_, err = tb.Read(t.Context(), "x")
		}
		if !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", op, err)
		}
	}
	f.on(fail("_search", 1, 200, `{"timed_out":true,"hits":{"hits":[]}}`))
	if _, err := tb.Search(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a search that timed out: %v, want ErrUnavailable", err)
	}
	f.on(fail("_bulk", 1, 200, `{"items":[]}`))
	if err := tb.Create(t.Context(), &db.Record{}); !errors.Is(err, db.ErrUnknownOutcome) {
		t.Errorf("a write without an answer of its own: %v, want ErrUnknownOutcome", err)
	}
}

func TestServersAreKnown(t *testing.T) {
	for answer, want := range map[string]error{
		`{"version":{"number":"2.19.1","distribution":"opensearch"}}`: nil,
		`{"version":{"number":"1.0.0","distribution":"opensearch"}}`:  nil,
		`{"version":{"number":"7.10.2"}}`:                             nil,
		`{"version":{"number":"9.1.0"},"tagline":"You Know"}`:         nil,
		`{"version":{"number":"7.9.3"}}`:                              db.ErrUnsupported,
		`{"version":{"number":"6.8.23"}}`:                             db.ErrUnsupported,
		`{"hello":"world"}`:                                           db.ErrUnavailable,
		`<html>`:                                                      db.ErrUnavailable,
	} {
		f := newFake()
		f.on(fail("/", 1, 200, answer))
		d, err := f.open()
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", answer, err, want)
		}
		if err == nil {
			d.Close()
		}
		f.Close()
	}
}

func TestForeignIndicesAreLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		mapping string
		want    error
	}{
		"another's":  {`{"things":{"mappings":{"properties":{}}}}`, db.ErrInvalid},
		"no alias":   {`{"things":{"mappings":{"_meta":{"go-platform":{"schema":2}}}}}`, db.ErrInvalid},
		"two":        {`{"things-1":{"mappings":{"_meta":{"go-platform":{"schema":2}}}},"things-2":{"mappings":{"_meta":{"go-platform":{"schema":2}}}}}`, db.ErrInvalid},
		"earlier":    {`{"things-1":{"mappings":{"_meta":{"go-platform":{"schema":1}}}}}`, db.ErrUnsupported},
		"later":      {`{"things-1":{"mappings":{"_meta":{"go-platform":{"schema":3}}}}}`, db.ErrUnsupported},
		"rebuilt":    {`{"things-2":{"mappings":{"_meta":{"go-platform":{"schema":2}}}}}`, nil},
		"other meta": {`{"things-1":{"mappings":{"_meta":{"beats":"8","go-platform":{"schema":2}}}}}`, nil},
	} {
		f := newFake()
		d, err := f.open()
		if err != nil {
			t.Fatal(err)
		}
		f.on(fail("_mapping", 1, 200, c.mapping))
		if _, err := d.Table(t.Context(), "things"); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if f.count("PUT") != 0 {
			t.Errorf("%s: an index was made", name)
		}
		d.Close()
		f.Close()
	}
	f := newFake()
	defer f.Close()
	d, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f.on(fail("-1", 100, 400, `{"error":{"type":"resource_already_exists_exception","reason":"there"}}`))
	if _, err := d.Table(t.Context(), "things"); !errors.Is(err, db.ErrInvalid) {
		t.Errorf("an index that has lost its alias: %v, want ErrInvalid", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]db.Option{
		"no address": elastic.Backend(""), "empty one": elastic.Backend("a,"), "scheme": elastic.Backend("redis://a"), "query": elastic.Backend("http://a?x=y"), "port": elastic.Backend("a:x"),
		"nil option": elastic.Backend("a", nil), "nil client": elastic.Backend("a", elastic.WithClient(nil)), "nil TLS": elastic.Backend("a", elastic.WithTLS(nil)),
		"user": elastic.Backend("a", elastic.WithAuth("", "p")), "key": elastic.Backend("a", elastic.WithAPIKey("a b")), "both": elastic.Backend("a", elastic.WithAuth("u", "p"), elastic.WithAPIKey("k")),
		"prefix": elastic.Backend("a", elastic.WithPrefix("Shop*")), "dash": elastic.Backend("a", elastic.WithPrefix("-a")), "refresh": elastic.Backend("a", elastic.WithRefresh(9)),
		"interval": elastic.Backend("a", elastic.WithRefreshInterval(0)), "shards": elastic.Backend("a", elastic.WithShards(0)), "replicas": elastic.Backend("a", elastic.WithReplicas(-1)),
		"answer": elastic.Backend("a", elastic.WithMaxResponse(1)),
	} {
		if _, err := db.New(o, db.WithLazy()); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
