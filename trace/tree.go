package trace

import (
	"fmt"
	"strings"
	"time"
)

// Tree returns the trace as text, a span a line below its parent, with service,
// name, duration and what went wrong. A span whose parent is not known stands
// at the left.
func (t Trace) Tree() string {
	children := map[SpanID][]int{}
	known := map[SpanID]bool{}
	for _, s := range t.Spans {
		known[s.Context.SpanID] = true
	}
	var roots []int
	for i, s := range t.Spans {
		switch p := s.Context.ParentID; {
		case s.Shared && t.hasOther(i): // the callee's half stands below the caller's
			children[s.Context.SpanID] = append(children[s.Context.SpanID], i)
		case p.IsZero() || !known[p] || p == s.Context.SpanID:
			roots = append(roots, i)
		default:
			children[p] = append(children[p], i)
		}
	}
	var lines [][2]string
	seen := map[int]bool{}
	var walk func(i int, first, rest string)
	walk = func(i int, first, rest string) {
		if seen[i] { // a circle of parents, from foreign spans
			return
		}
		seen[i] = true
		s := t.Spans[i]
		lines = append(lines, [2]string{first + label(s), tail(s)})
		var below []int
		if !s.Shared || !t.hasOther(i) {
			below = children[s.Context.SpanID]
		}
		for n, c := range below {
			if n == len(below)-1 {
				walk(c, rest+"└─ ", rest+"   ")
			} else {
				walk(c, rest+"├─ ", rest+"│  ")
			}
		}
	}
	for _, r := range roots {
		walk(r, "", "")
	}
	for i := range t.Spans { // what only a circle leads to
		walk(i, "", "")
	}
	width := 0
	for _, l := range lines {
		width = max(width, len([]rune(l[0])))
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s%s  %s\n", l[0], strings.Repeat(" ", width-len([]rune(l[0]))), l[1])
	}
	return b.String()
}

// hasOther reports whether another span has the id of span i and is the caller's half.
func (t Trace) hasOther(i int) bool {
	for j, s := range t.Spans {
		if j != i && !s.Shared && s.Context.SpanID == t.Spans[i].Context.SpanID {
			return true
		}
	}
	return false
}

func label(s SpanData) string {
	name := s.Name
	if s.Local.Service != "" {
		name = s.Local.Service + " " + name
	}
	if s.Kind != Internal {
		name += " (" + s.Kind.String() + ")"
	}
	return name
}

func tail(s SpanData) string {
	d := s.Duration.Round(time.Microsecond).String()
	if s.Duration >= 10*time.Millisecond {
		d = s.Duration.Round(100 * time.Microsecond).String()
	}
	if s.Err != "" {
		d += "  error: " + s.Err
	}
	return d
}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Server:
		return "server"
	case Client:
		return "client"
	case Producer:
		return "producer"
	case Consumer:
		return "consumer"
	}
	return "internal"
}
