package auth

import (
	"maps"
	"slices"
)

// index finds the rules of one effect that can apply to a request. Each rule
// stands under the one of its features that the fewest other rules share: its
// subjects, roles, scopes, actions or resources, or the literal beginnings of
// its patterns. Rules without such a feature are looked at every time.
type index struct {
	by      [ways]map[string][]int32
	lengths [ways][]int // of the keys of heads: ascending, without repetition
	rest    []int32
}

// feature is a way to find a rule, and the keys under which it stands there.
type feature struct {
	at   int
	keys []string
}

// The ways to find a rule. Heads are the beginnings of strings.
const (
	bySubject = iota
	byRole
	byScope
	byAction
	byResource
	bySubjectHead
	byActionHead
	byResourceHead
	ways
)

// features lists the ways to find a rule.
func (r *rule) features() []feature {
	var fs []feature
	if len(r.roles) > 0 {
		fs = append(fs, feature{byRole, r.roles})
	}
	if len(r.scopes) > 0 {
		fs = append(fs, feature{byScope, r.scopes[:1]}) // all are needed, so any one will do
	}
	for _, p := range []struct {
		patterns      []pattern
		literal, head int
	}{{r.subjects, bySubject, bySubjectHead}, {r.actions, byAction, byActionHead}, {r.resources, byResource, byResourceHead}} {
		if len(p.patterns) == 0 {
			continue
		}
		whole, begins := true, true
		var texts, prefixes []string
		for _, q := range p.patterns {
			whole = whole && q.literal
			begins = begins && q.prefix() != ""
			texts, prefixes = append(texts, q.text), append(prefixes, q.prefix())
		}
		switch {
		case whole:
			fs = append(fs, feature{p.literal, texts})
		case begins:
			fs = append(fs, feature{p.head, prefixes})
		}
	}
	return fs
}

func buildIndex(rules []rule, effect Effect) index {
	var shared [ways]map[string]int
	for i := range shared {
		shared[i] = map[string]int{}
	}
	for i := range rules {
		if rules[i].effect != effect {
			continue
		}
		for _, f := range rules[i].features() {
			for _, k := range f.keys {
				shared[f.at][k]++
			}
		}
	}
	var x index
	for i := range rules {
		if rules[i].effect != effect {
			continue
		}
		best, cost := feature{at: -1}, 0
		for _, f := range rules[i].features() {
			most := 0
			for _, k := range f.keys {
				most = max(most, shared[f.at][k])
			}
			if best.at < 0 || most < cost {
				best, cost = f, most
			}
		}
		if best.at < 0 {
			x.rest = append(x.rest, int32(i))
			continue
		}
		if x.by[best.at] == nil {
			x.by[best.at] = map[string][]int32{}
		}
		for _, k := range slices.Compact(slices.Sorted(slices.Values(best.keys))) {
			x.by[best.at][k] = append(x.by[best.at][k], int32(i))
		}
	}
	for _, at := range [...]int{bySubjectHead, byActionHead, byResourceHead} {
		lengths := map[int]bool{}
		for k := range x.by[at] {
			lengths[len(k)] = true
		}
		x.lengths[at] = slices.Sorted(maps.Keys(lengths))
	}
	return x
}

// walker tries the rules that an index finds.
type walker struct {
	t       *Token
	q       *Request
	members []string
	rules   []rule
	found   int32 // which of rules is the first that applies
	unknown bool  // it is a denying one without an answer
}

// find reports whether a rule applies.
func (w *walker) find(x *index) bool {
	return w.try(x.rest) ||
		w.try(x.by[bySubject][w.t.Subject]) ||
		w.each(x.by[byRole], w.t.Roles) ||
		w.each(x.by[byRole], w.members) ||
		w.each(x.by[byScope], w.t.Scopes) ||
		w.try(x.by[byAction][w.q.Action]) ||
		w.try(x.by[byResource][w.q.Resource]) ||
		w.begins(x, bySubjectHead, w.t.Subject) ||
		w.begins(x, byActionHead, w.q.Action) ||
		w.begins(x, byResourceHead, w.q.Resource)
}

func (w *walker) each(m map[string][]int32, keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return w.try(m[k]) })
}

func (w *walker) begins(x *index, at int, s string) bool {
	for _, n := range x.lengths[at] {
		if n > len(s) {
			break
		}
		if w.try(x.by[at][s[:n]]) {
			return true
		}
	}
	return false
}

func (w *walker) try(candidates []int32) bool {
	for _, i := range candidates {
		r := &w.rules[i]
		ok, err := r.applies(w.t, w.q, w.members)
		if ok || err != nil && r.effect == Deny {
			w.found, w.unknown = i, !ok
			return true
		}
	}
	return false
}
