package trace

// queue is a ring of ended spans, bounded by number and bytes. It grows as
// needed. Spans are copied into it, so that a waiting span holds on to nothing
// of its context.
type queue struct {
	maxSpans, maxBytes int
	ring               []slot
	head, n, bytes     int
}

type slot struct {
	data SpanData // without Tags if they fit into few
	few  [fewTags]Tag
	tags int // in few
	size int
}

// push reports false if the span doesn't fit.
func (q *queue) push(s *span, size int) bool {
	if q.n >= q.maxSpans || q.n > 0 && q.bytes+size > q.maxBytes {
		return false
	}
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
	q.bytes += size
	return true
}

func (q *queue) grow() {
	ring := make([]slot, min(max(64, 2*len(q.ring)), q.maxSpans))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = ring, 0
}

// take removes up to n spans and returns them in memory of their own.
func (q *queue) take(n int) []SpanData {
	n = min(n, q.n)
	tags := 0
	for i := range n {
		tags += q.ring[(q.head+i)%len(q.ring)].tags
	}
	all := make([]Tag, 0, tags)
	spans := make([]SpanData, n)
	for i := range spans {
		e := &q.ring[q.head]
		spans[i] = e.data
		if e.tags > 0 {
			all = append(all, e.few[:e.tags]...)
			spans[i].Tags = all[len(all)-e.tags : len(all) : len(all)]
		}
		q.bytes -= e.size
		*e = slot{}
		q.head = (q.head + 1) % len(q.ring)
	}
	q.n -= n
	return spans
}
