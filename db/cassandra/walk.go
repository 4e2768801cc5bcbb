package cassandra

import (
	"bytes"
	"context"
	"slices"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/internal/fault"
)

// candidate is a record that an index names.
type candidate struct {
	key   string
	v, id []byte
	stamp gocql.UUID
}

// walk merges the buckets of spans into one sequence of candidates.
type walk struct {
	d       *driver
	t       *table
	byID    bool // by id, whatever the value
	desc    bool
	streams []*stream
	left    int // how many more may be looked at
}

// stream is what is left of one bucket of one span.
type stream struct {
	span
	bucket int
	chunk  int
	ahead  []candidate // read and not taken
	ended  bool        // nothing is left behind ahead
}

func (d *driver) newWalk(t *table, p plan, desc bool, want int) *walk {
	w := &walk{d: d, t: t, byID: p.byID, desc: desc, left: d.c.scanLimit}
	for _, s := range p.ranges {
		for b := range t.buckets {
			// A bucket's share, and a bit.
			w.streams = append(w.streams, &stream{span: s, bucket: b, chunk: min(want/t.buckets+want/8+4, 1000)})
		}
	}
	return w
}

// resume leaves out all up to a candidate, which was the last one.
func (w *walk) resume(c candidate) {
	for _, s := range w.streams {
		if w.byID { // of one value
			c.v = s.v
		}
		s.after(c, w.desc)
	}
}

// after leaves out all up to a candidate.
func (s *stream) after(c candidate, desc bool) {
	if desc {
		if compareSpans(c.v, c.id, s.endV, s.endID) < 0 {
			s.endV, s.endID = c.v, c.id
		}
		return
	}
	next := append(slices.Clone(c.id), 0)
	if compareSpans(c.v, next, s.v, s.id) > 0 {
		s.v, s.id = c.v, next
	}
}

func compareSpans(v, id, otherV, otherID []byte) int {
	if c := bytes.Compare(v, otherV); c != 0 {
		return c
	}
	return bytes.Compare(id, otherID)
}

// fill reads ahead in the streams that have run dry.
func (w *walk) fill(ctx context.Context) error {
	var dry []*stream
	for _, s := range w.streams {
		if len(s.ahead) == 0 && !s.ended {
			dry = append(dry, s)
		}
	}
	if len(dry) == 0 {
		return nil
	}
	return parallel(ctx, len(dry), func(ctx context.Context, i int) error { return w.read(ctx, dry[i]) })
}

func (w *walk) read(ctx context.Context, s *stream) error {
	if compareSpans(s.v, s.id, s.endV, s.endID) >= 0 {
		s.ended = true
		return nil
	}
	text := w.t.up
	if w.desc {
		text = w.t.down
	}
	q, err := w.d.query(ctx, text, s.key, s.bucket, s.v, s.id, s.endV, s.endID, s.chunk)
	if err != nil {
		return err
	}
	rows := q.PageSize(s.chunk).Prefetch(0).IterContext(ctx)
	c := candidate{key: s.key}
	for rows.Scan(&c.v, &c.id, &c.stamp) {
		if c.v == nil { // no bytes, which are a value
			c.v = []byte{}
		}
		s.ahead = append(s.ahead, c)
		c = candidate{key: s.key}
	}
	if err := rows.Close(); err != nil {
		return readError(err)
	}
	if len(s.ahead) < s.chunk {
		s.ended = true
	} else {
		s.after(s.ahead[len(s.ahead)-1], w.desc)
	}
	return nil
}

// take returns up to n candidates, fewer only at the end.
func (w *walk) take(ctx context.Context, n int) ([]candidate, error) {
	var cs []candidate
	for len(cs) < n {
		if err := w.fill(ctx); err != nil {
			return nil, err
		}
		var first *stream
		for _, s := range w.streams {
			if len(s.ahead) > 0 && (first == nil || w.before(s.ahead[0], first.ahead[0])) {
				first = s
			}
		}
		if first == nil {
			return cs, nil
		}
		w.left--
		if w.left < 0 {
			return nil, fault.Markf(fault.TooLarge, "more than %d entries of %q to look at; see WithScanLimit", w.d.c.scanLimit, first.key)
		}
		cs = append(cs, first.ahead[0])
		first.ahead = first.ahead[1:]
	}
	return cs, nil
}

func (w *walk) before(a, b candidate) bool {
	c := 0
	if !w.byID {
		c = bytes.Compare(a.v, b.v)
	}
	if c == 0 {
		c = bytes.Compare(a.id, b.id)
	}
	return c < 0 != (w.desc && c != 0)
}
