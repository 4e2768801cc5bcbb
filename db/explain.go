package db

import "context"

// Plan is how a backend goes about a search.
type Plan struct {
	// Indexes are those that it reads, by their keys as in "customer,-total";
	// "@id" is that of the ids.
	Indexes []string

	Scan bool // it looks at every record, or at every entry of an index
	Sort bool // it sorts what it finds, since no index has the order

	// Engine is the backend's own words, a line for each step. They differ
	// between backends and their versions.
	Engine string
}

func (t *table) Explain(ctx context.Context, opts ...SearchOption) (p Plan, err error) {
	q, err := t.newQuery(opts)
	e, ok := t.ops.(explainer)
	if err == nil && !ok {
		err = unsupportedf("explaining searches")
	}
	if err != nil {
		return Plan{}, t.wrap("explain", "", err)
	}
	q.Limit++ // as Search does
	err = t.call(ctx, "explain", "", func(ctx context.Context) (err error) { p, err = e.Explain(ctx, t.place(q), q); return err })
	return p, err
}
