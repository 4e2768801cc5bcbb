package elastic_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/internal/fault"
)

// What the server says of one write among several.
func TestAnswersToOneWriteOfSeveral(t *testing.T) {
	const conflict = `"error":{"type":"version_conflict_engine_exception","reason":"conflict"}`
	for _, c := range []struct {
		verb, item string
		want       error
	}{
		{"create", `"status":201`, nil},
		{"create", `"status":200`, nil},
		{"create", `"status":299`, nil},
		{"create", `"status":300`, fault.UnknownOutcome},
		{"create", `"status":199`, fault.UnknownOutcome},
		{"create", ``, fault.UnknownOutcome},
		{"create", `"status":404`, fault.UnknownOutcome},
		{"create", `"status":404,"error":{"type":"index_not_found_exception","reason":"gone"}`, fault.Invalid},
		{"create", `"status":403,"error":{"type":"security_exception","reason":"no"}`, fault.Denied},
		{"create", `"status":400,"error":{"type":"x","reason":"immense term"}`, fault.TooLarge},
		{"create", `"status":500,"error":{"type":"x","reason":"y"}`, fault.UnknownOutcome},
		{"delete", `"status":200`, nil},
		{"delete", `"status":404`, fault.NotFound},
		{"delete", `"status":403`, fault.Denied},
		{"delete", `"status":404,"error":{"type":"index_not_found_exception","reason":"gone"}`, fault.Invalid},
		{"index", `"status":200`, fault.UnknownOutcome}, // of what was not asked for
	} {
		f, tb := stage(t)
		f.on(fail("_bulk", 1, 200, fmt.Sprintf(`{"items":[{%q:{%s}}]}`, c.verb, c.item)))
		var err error
		if c.verb == "delete" {
			err = tb.Delete(t.Context(), "x")
		} else {
			err = tb.Create(t.Context(), &db.Record{ID: "x"})
		}
		want := c.want
		if c.verb == "create" && (c.item == `"status":300` || c.item == `"status":404`) {
			want = nil // no kind of ours, and no success
			if err == nil {
				t.Errorf("%s: {%s}: success", c.verb, c.item)
			}
		}
		if got := fault.KindOf(err); got != want || want == nil && c.want == nil && err != nil {
			t.Errorf("%s: {%s}: %v, want %v", c.verb, c.item, err, c.want)
		}
	}
	f, tb := stage(t)
	f.on(fail("_bulk", 1, 200, `{"items":[{"create":{"status":409,`+conflict+`}}]}`))
	if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil || f.count("_bulk") != 2 {
		t.Errorf("a conflict with nothing: %v after %d requests, want the second to do it", err, f.count("_bulk"))
	}
}

// A write holds only for what was read before it, and says what it is.
func TestRequestsOfWrites(t *testing.T) {
	f, tb := stage(t)
	var bodies, types []string
	f.on(func(w http.ResponseWriter, r *http.Request, body string) bool {
		if strings.HasSuffix(r.URL.Path, "_bulk") || strings.HasSuffix(r.URL.Path, "_mget") {
			first, _, _ := strings.Cut(body, "\n")
			bodies, types = append(bodies, first), append(types, r.Header.Get("Content-Type"))
		}
		return false
	})
	r := &db.Record{ID: "x"}
	for _, c := range []struct {
		do    func() error
		wrote string
		asked int // requests
	}{
		{func() error { return tb.Create(t.Context(), r) }, `{"create":{"_id":"x"}}`, 1},
		{func() error { return tb.Update(t.Context(), r) }, `{"index":{"_id":"x","if_primary_term":1,"if_seq_no":1}}`, 2},
		{func() error { return tb.Update(t.Context(), r, db.Force()) }, `{"index":{"_id":"x","if_primary_term":1,"if_seq_no":2}}`, 2},
		{func() error { return tb.Delete(t.Context(), "x", db.IfVersion(r.Version)) }, `{"delete":{"_id":"x","if_primary_term":1,"if_seq_no":3}}`, 2},
		{func() error { return tb.Update(t.Context(), &db.Record{ID: "x"}, db.Upsert()) }, `{"create":{"_id":"x"}}`, 2},
		{func() error { return tb.Delete(t.Context(), "x") }, `{"delete":{"_id":"x"}}`, 1},
	} {
		bodies, types = nil, nil
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.wrote, err)
		}
		if n := len(bodies); n != c.asked || bodies[n-1] != c.wrote || types[n-1] != "application/x-ndjson" || n > 1 && types[0] != "application/json" {
			t.Errorf("%q as %q, want %s in the last of %d", bodies, types, c.wrote, c.asked)
		}
	}
}

// What the server says when it does not make an index is said once.
func TestIndicesThatAreNotMade(t *testing.T) {
	f := newFake()
	defer f.Close()
	d, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f.on(fail("-1", 100, 403, `{"error":{"type":"security_exception","reason":"may not"}}`))
	if _, err := d.Table(t.Context(), "things"); !errors.Is(err, db.ErrDenied) || f.count("PUT") != 1 {
		t.Errorf("%v after %d requests, want ErrDenied after one", err, f.count("PUT"))
	}
	f.on(fail("_mapping", 100, 403, `{"error":{"type":"security_exception","reason":"may not"}}`))
	if _, err := d.Table(t.Context(), "others"); !errors.Is(err, db.ErrDenied) || f.count("PUT") != 1 {
		t.Errorf("%v, want ErrDenied, and nothing made", err)
	}
	made := false
	f.on(func(w http.ResponseWriter, r *http.Request, body string) bool { // somebody else is faster
		if r.Method != http.MethodPut || made {
			return false
		}
		made = true
		f.answer(silent{http.Header{}}, r, body)
		w.WriteHeader(400)
		io.WriteString(w, `{"error":{"type":"resource_already_exists_exception","reason":"there"}}`)
		return true
	})
	if _, err := d.Table(t.Context(), "both"); err != nil || !made {
		t.Errorf("what another made at the same time: %v", err)
	}
}

// The reasons of an error are followed, each said once, and not indefinitely.
func TestReasonsOfErrors(t *testing.T) {
	deep := func(n int) string {
		s := `{"type":"t0","reason":"r0"}`
		for i := 1; i <= n; i++ {
			s = fmt.Sprintf(`{"type":"t%d","reason":"r%d","caused_by":%s}`, i, i, s)
		}
		return s
	}
	long := strings.Repeat("ü", 400)
	for _, c := range []struct{ cause, want string }{
		{`{"type":"t","reason":"r"}`, "t: r"},
		{`"in words"`, "error: in words"},
		{`{"type":"t","reason":"r","caused_by":{"type":"u","reason":"s"}}`, "t: r; u: s"},
		{`{"type":"t","reason":"r","root_cause":[{"type":"u","reason":"s"}]}`, "t: r; u: s"},
		{`{"type":"t","reason":"r","root_cause":[{"type":"t","reason":"r"}]}`, "t: r"},
		{`{"type":"t","reason":"r","root_cause":[{"type":"t","reason":"s"}]}`, "t: r; t: s"},
		{`{"type":"t","reason":"r","root_cause":[{"type":"u","reason":"r"}]}`, "t: r; u: r"},
		{`{"type":"t","reason":"r","root_cause":[]}`, "t: r"},
		{`{"type":"t","reason":"r","caused_by":7}`, "t: r"},
		{`{"type":"t","reason":"r","caused_by":{"type":"u","reason":"s"},"root_cause":[{"type":"v","reason":"w"}]}`, "t: r; u: s"},
		{deep(4), "t4: r4; t3: r3; t2: r2; t1: r1; t0: r0"},
		{deep(5), "t5: r5; t4: r4; t3: r3; t2: r2; t1: r1"},
		{`{"type":"t","reason":"` + long + `","caused_by":{"type":"u","reason":"s"}}`, "t: " + long[:500] + "…"},
		{`{"type":"t","reason":"x` + long + `"}`, "t: x" + long[:498] + "…"},
		{`{"type":"t","reason":"` + long[:500] + `"}`, "t: " + long[:500]},
	} {
		f, tb := stage(t)
		f.on(fail("_mget", 1, 400, `{"error":`+c.cause+`}`))
		_, err := tb.Read(t.Context(), "x")
		var e *elastic.Error
		if !errors.As(err, &e) || e.Error() != "status 400: "+c.want {
			t.Errorf("%.200s: %v, want %s", c.cause, err, c.want)
		}
	}
}

// Options at their limits, and what an index is made with.
func TestOptionsOfIndices(t *testing.T) {
	for name, c := range map[string]struct {
		opts    []elastic.Option
		has     string // in what is sent
		refused bool
	}{
		"nothing":             {nil, `"settings":{"index":{"max_regex_length":8192}}`, false},
		"a shard":             {[]elastic.Option{elastic.WithShards(1)}, `"number_of_shards":1`, false},
		"no shard":            {[]elastic.Option{elastic.WithShards(0)}, "", true},
		"no replica":          {[]elastic.Option{elastic.WithReplicas(0)}, `"number_of_replicas":0`, false},
		"less":                {[]elastic.Option{elastic.WithReplicas(-1)}, "", true},
		"a millisecond":       {[]elastic.Option{elastic.WithRefreshInterval(time.Millisecond)}, `"refresh_interval":"1ms"`, false},
		"less than that":      {[]elastic.Option{elastic.WithRefreshInterval(time.Millisecond - 1)}, "", true},
		"a prefix":            {[]elastic.Option{elastic.WithPrefix(strings.Repeat("a", 100))}, `"aliases":{"` + strings.Repeat("a", 100) + `things":{}}`, false},
		"a long prefix":       {[]elastic.Option{elastic.WithPrefix(strings.Repeat("a", 101))}, "", true},
		"small answers":       {[]elastic.Option{elastic.WithMaxResponse(64 << 10)}, "", false},
		"answers too small":   {[]elastic.Option{elastic.WithMaxResponse(64<<10 - 1)}, "", true},
		"the last refresh":    {[]elastic.Option{elastic.WithRefresh(elastic.RefreshNever)}, "", false},
		"a refresh after it":  {[]elastic.Option{elastic.WithRefresh(elastic.RefreshNever + 1)}, "", true},
		"a refresh before it": {[]elastic.Option{elastic.WithRefresh(elastic.RefreshOwn - 1)}, "", true},
	} {
		f := newFake()
		sent := ""
		f.on(func(_ http.ResponseWriter, r *http.Request, body string) bool {
			if r.Method == http.MethodPut {
				sent = body
			}
			return false
		})
		d, err := f.open(c.opts...)
		if errors.Is(err, db.ErrInvalid) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v, refused: %v", name, err, c.refused)
		}
		if err == nil {
			if _, err := d.Table(t.Context(), "things"); err != nil || !strings.Contains(sent, c.has) {
				t.Errorf("%s: %v, made with %s, want %s", name, err, sent, c.has)
			}
			d.Close()
		}
		f.Close()
	}
}

// What is no answer, or says that a part is missing, is no result.
func TestWhatIsNoAnswer(t *testing.T) {
	for op, do := range map[string]func(tb db.Table) error{
		"_mget":    func(tb db.Table) error { _, err := tb.Read(t.Context(), "x"); return err },
		"_search":  func(tb db.Table) error { _, err := tb.Search(t.Context()); return err },
		"_count":   func(tb db.Table) error { _, err := tb.Count(t.Context()); return err },
		"_refresh": func(tb db.Table) error { _, err := tb.Count(t.Context()); return err },
	} {
		for _, c := range []struct {
			status int
			body   string
		}{{200, "<html>"}, {200, ""}, {503, "<html>"}, {503, "{}"}} {
			f, tb := stage(t, elastic.WithRefresh(elastic.RefreshSearches))
			if err := tb.Create(t.Context(), &db.Record{ID: "x"}); err != nil {
				t.Fatal(err)
			}
			if err := do(tb); err != nil {
				t.Errorf("%s: %v", op, err)
			}
			f.on(fail(op, 100, c.status, c.body))
			if err := do(tb); !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%s: %d %s: %v, want ErrUnavailable", op, c.status, c.body, err)
			}
		}
	}
	f, tb := stage(t)
	for body, hint := range map[string]bool{"Client sent an HTTP request to an HTTPS server.\n": true, "something else": false} {
		f.on(fail("_mget", 1, 400, body))
		if _, err := tb.Read(t.Context(), "x"); err == nil || strings.Contains(err.Error(), "TLS") != hint {
			t.Errorf("%q: %v, want a hint at TLS: %v", body, err, hint)
		}
	}
}

func TestWhenSearchesAreImmediate(t *testing.T) {
	for refresh, want := range map[elastic.Refresh]bool{elastic.RefreshOwn: false, elastic.RefreshSearches: true, elastic.RefreshWrites: true, elastic.RefreshNever: false} {
		f := newFake()
		d, err := f.open(elastic.WithRefresh(refresh))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Features().Immediate; got != want {
			t.Errorf("refresh %d: immediate %v, want %v", refresh, got, want)
		}
		d.Close()
		f.Close()
	}
}
