package trace

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// NewTrace returns the spans in the order of their starts, a caller before what
// it called when they start together.
func NewTrace(id TraceID, spans []SpanData) Trace {
	t := Trace{ID: id, Spans: slices.Clone(spans)}
	slices.SortStableFunc(t.Spans, func(a, b SpanData) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Duration, a.Duration))
	})
	return t
}

// selects reports whether one of spans meets the whole query.
func (q *Query) selects(spans []SpanData) bool {
	return slices.ContainsFunc(spans, func(s SpanData) bool {
		switch {
		case q.Service != "" && !strings.EqualFold(s.Local.Service, q.Service),
			q.Name != "" && s.Name != q.Name,
			s.Duration < q.MinDuration,
			q.MaxDuration > 0 && s.Duration > q.MaxDuration,
			q.Errors && s.Err == "",
			!q.Since.IsZero() && s.Start.Before(q.Since),
			!q.Until.IsZero() && !s.Start.Before(q.Until):
			return false
		}
		for k, v := range q.Tags {
			if !slices.ContainsFunc(s.Tags, func(t Tag) bool { return t.Key == k && t.Value.String() == v }) {
				return false
			}
		}
		return true
	})
}

// position is where a trace stands among all: newest start first.
type position struct {
	start int64
	id    TraceID
}

func positionOf(t Trace) position {
	return position{t.Spans[0].Start.UnixNano(), t.ID}
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(o.start, p.start), bytes.Compare(o.id[:], p.id[:]))
}

func (p position) String() string { return fmt.Sprintf("%d-%s", p.start, p.id) }

func parsePosition(s string) (p position, err error) {
	start, id, ok := strings.Cut(s, "-")
	if ok {
		p.start, err = strconv.ParseInt(start, 10, 64)
	}
	if ok && err == nil && len(id) == 32 {
		_, err = hex.Decode(p.id[:], []byte(id))
	}
	if !ok || err != nil || len(id) != 32 {
		return p, fault.Markf(ErrInvalid, "malformed cursor %q", s)
	}
	return p, nil
}

// Paginate cuts q's page out of all that it selects.
func Paginate(found []Trace, q Query) (Page, error) {
	slices.SortFunc(found, func(a, b Trace) int { return positionOf(a).compare(positionOf(b)) })
	if q.After != "" {
		after, err := parsePosition(q.After)
		if err != nil {
			return Page{}, err
		}
		found = slices.DeleteFunc(found, func(t Trace) bool { return positionOf(t).compare(after) <= 0 })
	}
	limit := cmp.Or(q.Limit, 20)
	if len(found) <= limit {
		return Page{Traces: found}, nil
	}
	found = found[:limit]
	return Page{Traces: found, Next: positionOf(found[limit-1]).String()}, nil
}
