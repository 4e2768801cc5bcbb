package trace

import "github.com/micro/go-platform/internal/outlet"

// queue is a ring of ended spans, which grows as needed. Spans are copied into
// it, so that a waiting span holds on to nothing of its context.
type queue struct {
	most, batch int // spans of the ring, and of a batch
	ring        []slot
	head, n     int
}

type slot struct {
	data SpanData // without Tags if they fit into few
	few  [fewTags]Tag
	tags int // in few
	size int
}

// batch is spans in memory of their own.
type batch struct {
	spans []SpanData
	bytes int
}

func (q *queue) Add(s *span, size int) {
	if q.n == len(q.ring) {
		q.grow()
	}
	e := &q.ring[(q.head+q.n)%len(q.ring)]
	e.data = s.data()
	e.size = size
	e.tags = 0
	if len(s.tags) <= fewTags {
		e.data.Tags = nil
		e.tags = copy(e.few[:], s.tags)
	}
	q.n++
}

func (q *queue) grow() {
	ring := make([]slot, min(max(64, 2*len(q.ring)), q.most))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = ring, 0
}

func (q *queue) Take() (batch, outlet.Count) {
	n := min(q.batch, q.n)
	tags := 0
	for i := range n {
		tags += q.ring[(q.head+i)%len(q.ring)].tags
	}
	all := make([]Tag, 0, tags)
	b := batch{spans: make([]SpanData, n)}
	for i := range b.spans {
		e := &q.ring[q.head]
		b.spans[i] = e.data
		if e.tags > 0 {
			all = append(all, e.few[:e.tags]...)
			b.spans[i].Tags = all[len(all)-e.tags : len(all) : len(all)]
		}
		b.bytes += e.size
		*e = slot{}
		q.head = (q.head + 1) % len(q.ring)
	}
	q.n -= n
	return b, outlet.Count{Items: uint64(n), Bytes: uint64(b.bytes)}
}

// Rest shares the bytes evenly: what a span is large is an estimate anyway.
func (q *queue) Rest(b batch, n int) (batch, int) {
	share := b.bytes * n / len(b.spans)
	return batch{b.spans[n:], b.bytes - share}, share
}

// Done does nothing: a driver may keep the spans.
func (q *queue) Done(batch) {}
