package event

import "strings"

// Patterns is a compiled set of type patterns. The zero value matches every
// type that is not a dead letter or a reply.
//
//	order.created   that type
//	order.*         one more segment: order.created, not order.item.added
//	order.**        one or more: order.created and order.item.added, not order
//	*.created       any first segment
//	**              everything
//
// Types below "dead" are only matched by patterns that begin with "dead", so
// that a subscriber of everything is not handed its own dead letters. Those below
// "_reply" are replies, see Stream.Request, and matched in the same way.
type Patterns struct {
	list  []string
	exact map[string]struct{}
	wild  []string
	all   bool
}

// parsePatterns compiles patterns; none match everything.
func parsePatterns(patterns ...string) (Patterns, error) {
	p := Patterns{list: patterns}
	for _, s := range patterns {
		var head, last string
		if i := strings.LastIndexByte(s, '.'); i >= 0 {
			head, last = s[:i], s[i+1:]
		} else {
			last = s
		}
		for seg := range strings.SplitSeq(head, ".") {
			if seg != "*" && strings.Contains(seg, "*") {
				return Patterns{}, invalidf("pattern %q: '*' stands for one whole segment, '**' for the last ones", s)
			}
		}
		if last != "*" && last != "**" && strings.Contains(last, "*") {
			return Patterns{}, invalidf("pattern %q: '*' stands for one whole segment, '**' for the last ones", s)
		}
		if err := checkType(strings.ReplaceAll(s, "*", "x")); err != nil {
			return Patterns{}, invalidf("pattern %q is malformed", s)
		}
		switch {
		case s == "**":
			p.all = true
		case strings.Contains(s, "*"):
			p.wild = append(p.wild, s)
		default:
			if p.exact == nil {
				p.exact = map[string]struct{}{}
			}
			p.exact[s] = struct{}{}
		}
	}
	return p, nil
}

// List returns the patterns as they were given.
func (p Patterns) List() []string { return p.list }

// All reports whether every type except dead letters matches.
func (p Patterns) All() bool { return p.all || len(p.list) == 0 }

// Match reports whether a type matches any of the patterns.
func (p Patterns) Match(t string) bool {
	if _, ok := p.exact[t]; ok {
		return true
	}
	dead := t == "dead" || strings.HasPrefix(t, "dead.")
	reply := strings.HasPrefix(t, replyPrefix)
	if p.All() && !dead && !reply {
		return true
	}
	for _, w := range p.wild {
		if dead && !strings.HasPrefix(w, "dead.") || reply && !strings.HasPrefix(w, replyPrefix) {
			continue
		}
		if match(w, t) {
			return true
		}
	}
	return false
}

// matchText is Match of a type that is a part of a text. It copies none that all want.
func (p *Patterns) matchText(t []byte) bool {
	return p.All() && t[0] != 'd' && t[0] != '_' || p.Match(string(t))
}

func match(pattern, t string) bool {
	for {
		ps, prest, pmore := strings.Cut(pattern, ".")
		if ps == "**" {
			return true // t has a segment left
		}
		ts, trest, tmore := strings.Cut(t, ".")
		if ps != "*" && ps != ts {
			return false
		}
		if !pmore || !tmore {
			return pmore == tmore
		}
		pattern, t = prest, trest
	}
}
