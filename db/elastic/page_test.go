package elastic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/fault"
)

// pages answers searches with records whose ids are letters, some at a time at most: more
// are larger than an answer may be.
type pages struct {
	ids   []string
	bad   string // the one whose metadata can't be read
	most  int    // in one answer
	sizes []int
	after []string
}

func (p *pages) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(body string) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var q struct {
		Size  int
		After []string `json:"search_after"`
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return nil, err
	}
	p.sizes, p.after = append(p.sizes, q.Size), append(p.after, strings.Join(q.After, ","))
	from := 0
	if len(q.After) > 0 {
		from = slices.Index(p.ids, q.After[0]) + 1
	}
	found := p.ids[from:min(from+q.Size, len(p.ids))]
	if len(found) > p.most {
		return answer(strings.Repeat(" ", 70<<10))
	}
	var hits []string
	for _, id := range found {
		md := `{\"k\":1}`
		if id == p.bad {
			md = "x"
		}
		hits = append(hits, fmt.Sprintf(`{"_source":{"id":%q,"version":1,"metadata":"%s"}}`, id, md))
	}
	return answer(`{"hits":{"hits":[` + strings.Join(hits, ",") + `]},"_shards":{"failed":0}}`)
}

// A page that is larger than an answer may be is fetched in parts.
func TestLargePagesComeInParts(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  string
		sizes []int
		after []string
	}{
		{1, "a", []int{1}, []string{""}},
		{2, "ab", []int{2}, []string{""}},
		{3, "abc", []int{3, 1, 1, 1}, []string{"", "", "a", "b"}},
		{5, "abcde", []int{5, 2, 2, 1}, []string{"", "", "b", "d"}},
		{6, "abcde", []int{6, 3, 1, 1, 1, 1, 1, 1}, []string{"", "", "", "a", "b", "c", "d", "e"}},
		{8, "abcde", []int{8, 4, 2, 2, 2}, []string{"", "", "", "b", "d"}},
	} {
		p := &pages{ids: []string{"a", "b", "c", "d", "e"}, most: 2}
		conf := config{client: &http.Client{Transport: p}, response: 64 << 10, refresh: RefreshNever}
		cl, err := newClient("h", conf)
		if err != nil {
			t.Fatal(err)
		}
		found, err := newDriver(cl, conf).Query(t.Context(), "things", db.Query{Limit: c.limit, Order: []db.Order{{Key: db.FieldID}}})
		ids := ""
		for _, r := range found {
			ids += r.ID
			if r.Metadata["k"] != int64(1) {
				t.Errorf("%s has the metadata %v", r.ID, r.Metadata)
			}
		}
		if err != nil || ids != c.want || !slices.Equal(p.sizes, c.sizes) || !slices.Equal(p.after, c.after) {
			t.Errorf("%d records: %q, %v, asked for %v after %q; want %q by %v after %q", c.limit, ids, err, p.sizes, p.after, c.want, c.sizes, c.after)
		}
	}
	p := &pages{ids: []string{"a", "b"}, bad: "b", most: 2}
	conf := config{client: &http.Client{Transport: p}, response: 64 << 10, refresh: RefreshNever}
	cl, err := newClient("h", conf)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := newDriver(cl, conf).Query(t.Context(), "things", db.Query{Limit: 2, Order: []db.Order{{Key: db.FieldID}}}); err == nil {
		t.Errorf("a record that can't be read: %v", found)
	}
	p.most, p.sizes = 0, nil // even one is too large
	if found, err := newDriver(cl, conf).Query(t.Context(), "things", db.Query{Limit: 2, Order: []db.Order{{Key: db.FieldID}}}); !errors.Is(err, fault.TooLarge) || !slices.Equal(p.sizes, []int{2, 1}) {
		t.Errorf("a record that is too large: %v, %v, asked for %v", found, err, p.sizes)
	}
}

// Several of what a Write does are done in turns: those of one id one after another, and
// those that were refused in their place.
func TestTurnsOfWrites(t *testing.T) {
	b := &bulk{ws: []db.Write{{ID: "x"}, {ID: "y"}, {ID: "x"}, {ID: "y"}, {ID: "x"}}, todo: []int{0, 1, 2, 3, 4}}
	now, later := b.turn()
	if !slices.Equal(now, []int{0, 1}) || !slices.Equal(later, []int{2, 3, 4}) {
		t.Errorf("now %v, later %v", now, later)
	}
	b.todo = later
	b.again(0)
	if now, later = b.turn(); !slices.Equal(now, []int{0, 3}) || !slices.Equal(later, []int{2, 4}) {
		t.Errorf("after the first was refused: now %v, later %v", now, later)
	}
	many := &bulk{}
	for i := range maxActions + 1 {
		many.ws, many.todo = append(many.ws, db.Write{ID: fmt.Sprint(i)}), append(many.todo, i)
	}
	if now, later := many.turn(); len(now) != maxActions || len(later) != 1 {
		t.Errorf("%d now and %d later, want %d and 1", len(now), len(later), maxActions)
	}
}

// What a filter becomes, next to those that are much like it.
func TestQueriesOfFilters(t *testing.T) {
	long := strings.Repeat("v", maxAutomaton)
	for _, c := range []struct {
		f    db.Filter
		want object
	}{
		{db.Filter{}, everything},
		{db.And(), everything},
		{db.Or(), object{"match_none": object{}}},
		{db.Equal(db.FieldID, "x"), term("id", "x")},
		{db.NotEqual(db.FieldID, "x"), not(term("id", "x"))},
		{db.Exists(db.FieldID), everything},
		{db.Prefix(db.FieldID, ""), everything},
		{db.Contains(db.FieldID, ""), everything},
		{db.Prefix(db.FieldID, long), object{"prefix": object{"id": object{"value": long}}}},
		{db.Prefix(db.FieldID, long+"v"), expression("id", never+long+"v.*")},
		{db.Less(db.FieldID, long), object{"range": object{"id": object{"lt": long}}}},
		{db.Less(db.FieldID, long+"v"), object{"range": object{"id": object{"lt": long}}}},
		{db.Exists("k"), term("keys", "k")},
		{db.Equal("k", "x"), term("values", "01ksx")},
		{db.Has("k", "x"), term("values", "01kzx")},
		{db.In("k", "x", "y"), object{"terms": object{"values": []string{"01ksx", "01ksy"}}}},
	} {
		if got := query(c.f); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v became %v, want %v", c.f, got, c.want)
		}
	}
	if got := after([]db.Order{{Key: "a"}, {Key: db.FieldID}}, []any{nil, "x"}); !reflect.DeepEqual(got, []any{nil, "x"}) {
		t.Errorf("after a missing value: %v", got)
	}
	if err := (shards{1}).check(); !errors.Is(err, fault.Unavailable) || (shards{}).check() != nil {
		t.Errorf("a shard that failed: %v", err)
	}
}
