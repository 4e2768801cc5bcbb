package elastic

import (
	"context"
	"errors"
	"net/http"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/fault"
)

// gone explains that a table is not there any more.
func gone(t *table, err error) error {
	var e *Error
	if errors.As(err, &e) && e.missing() {
		return fault.Markf(fault.Invalid, "the table's index is gone; Table makes it again: %w", e)
	}
	return err
}

// state is what is stored under an id.
type state struct {
	Found bool     `json:"found"`
	Seq   int64    `json:"_seq_no"`
	Term  int64    `json:"_primary_term"`
	Doc   document `json:"_source"`
	Error *cause   `json:"error"`
}

// failed is the error of one of several reads.
func (s state) failed(t *table) error {
	if s.Error == nil {
		return nil
	}
	e := newError(http.StatusNotFound, s.Error)
	if !e.missing() {
		e.Status = http.StatusServiceUnavailable
	}
	return gone(t, e.marked(false))
}

// get reads what is stored now, whether searches see it or not. Ids are in the
// body, never in the address.
func (d *driver) get(ctx context.Context, t *table, source string, ids []string) ([]state, error) {
	var answer struct{ Docs []state }
	err := d.client.ask(ctx, request{
		method: http.MethodPost, path: "/" + t.name + "/_mget",
		query: source + "&filter_path=docs.found,docs._seq_no,docs._primary_term,docs._source,docs.error,error,status",
	}, object{"ids": ids}, &answer)
	if err != nil {
		return nil, gone(t, err)
	}
	if len(answer.Docs) != len(ids) {
		return nil, fault.Markf(fault.Unavailable, "an answer for %d ids of %d", len(answer.Docs), len(ids))
	}
	return answer.Docs, nil
}

func (d *driver) Get(ctx context.Context, name, id string) (*db.Record, error) {
	t := d.table(name)
	found, err := d.get(ctx, t, "_source_excludes="+unread, []string{id})
	if err != nil {
		return nil, err
	}
	switch err := found[0].failed(t); {
	case err != nil:
		return nil, err
	case !found[0].Found:
		return nil, fault.NotFound
	}
	return found[0].Doc.record()
}

func (d *driver) Query(ctx context.Context, name string, q db.Query) ([]*db.Record, error) {
	t := d.table(name)
	if err := d.refresh(ctx, t); err != nil {
		return nil, err
	}
	var found []*db.Record
	for part := q.Limit; len(found) < q.Limit; {
		rest := q
		rest.Limit = min(part, q.Limit-len(found))
		if n := len(found); n > 0 {
			rest.After = make([]any, len(q.Order))
			for i, o := range q.Order {
				v := found[n-1].Value(o.Key)
				if _, list := v.([]string); !list {
					rest.After[i] = v
				}
			}
		}
		rs, err := d.page(ctx, t, rest)
		if errors.Is(err, fault.TooLarge) && rest.Limit > 1 {
			part = rest.Limit / 2 // of records as large as these
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, rs...)
		if len(rs) < rest.Limit {
			break
		}
	}
	return found, nil
}

// page is one search.
func (d *driver) page(ctx context.Context, t *table, q db.Query) ([]*db.Record, error) {
	body := object{
		"size": q.Limit, "query": query(q.Filter), "sort": sorted(q.Order), "track_total_hits": false,
		"_source": object{"excludes": []string{"keys", "values", "order"}},
	}
	if q.After != nil {
		body["search_after"] = after(q.Order, q.After)
	}
	var answer struct {
		Hits struct {
			Hits []struct {
				Source document `json:"_source"`
			}
		}
		TimedOut bool   `json:"timed_out"`
		Shards   shards `json:"_shards"`
	}
	err := d.client.ask(ctx, request{
		method: http.MethodPost, path: "/" + t.name + "/_search",
		query: "allow_partial_search_results=false&filter_path=hits.hits._source,timed_out,_shards.failed,error,status",
	}, body, &answer)
	if err != nil {
		return nil, gone(t, err)
	}
	if answer.TimedOut {
		return nil, fault.Markf(fault.Unavailable, "the server gave up the search")
	}
	if err := answer.Shards.check(); err != nil {
		return nil, err
	}
	rs := make([]*db.Record, len(answer.Hits.Hits))
	for i, h := range answer.Hits.Hits {
		rs[i], err = h.Source.record()
		if err != nil {
			return nil, err
		}
	}
	return rs, nil
}

func (d *driver) Count(ctx context.Context, name string, f db.Filter) (int64, error) {
	t := d.table(name)
	if err := d.refresh(ctx, t); err != nil {
		return 0, err
	}
	var answer struct {
		Count  int64
		Shards shards `json:"_shards"`
	}
	if err := d.client.ask(ctx, request{method: http.MethodPost, path: "/" + t.name + "/_count"}, object{"query": query(f)}, &answer); err != nil {
		return 0, gone(t, err)
	}
	return answer.Count, answer.Shards.check()
}
