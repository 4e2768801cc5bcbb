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
	subjects, roles, scopes, actions, resources map[string][]int32
	subjectHeads, actionHeads, resourceHeads    heads
	rest                                        []int32
}

// heads finds by the beginning of a string.
type heads struct {
	lengths []int // ascending, without repetition
	m       map[string][]int32
}

// feature is a way to find a rule: a map of the index and the keys in it.
type feature struct {
	at   int // which map
	keys []string
}

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
	var maps [ways]map[string][]int32
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
		if maps[best.at] == nil {
			maps[best.at] = map[string][]int32{}
		}
		for _, k := range slices.Compact(slices.Sorted(slices.Values(best.keys))) {
			maps[best.at][k] = append(maps[best.at][k], int32(i))
		}
	}
	x.subjects, x.roles, x.scopes = maps[bySubject], maps[byRole], maps[byScope]
	x.actions, x.resources = maps[byAction], maps[byResource]
	x.subjectHeads, x.actionHeads, x.resourceHeads = newHeads(maps[bySubjectHead]), newHeads(maps[byActionHead]), newHeads(maps[byResourceHead])
	return x
}

func newHeads(m map[string][]int32) heads {
	lengths := map[int]bool{}
	for k := range m {
		lengths[len(k)] = true
	}
	return heads{slices.Sorted(maps.Keys(lengths)), m}
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
		w.try(x.subjects[w.t.Subject]) ||
		w.each(x.roles, w.t.Roles) ||
		w.each(x.roles, w.members) ||
		w.each(x.scopes, w.t.Scopes) ||
		w.try(x.actions[w.q.Action]) ||
		w.try(x.resources[w.q.Resource]) ||
		w.begins(&x.subjectHeads, w.t.Subject) ||
		w.begins(&x.actionHeads, w.q.Action) ||
		w.begins(&x.resourceHeads, w.q.Resource)
}

func (w *walker) each(m map[string][]int32, keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return w.try(m[k]) })
}

func (w *walker) begins(h *heads, s string) bool {
	for _, n := range h.lengths {
		if n > len(s) {
			break
		}
		if w.try(h.m[s[:n]]) {
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
