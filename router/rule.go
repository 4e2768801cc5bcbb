package router

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/micro/go-platform/discovery"
)

// Rule splits the calls of a service between groups of its instances: for a
// canary, an A/B test, or to take a version out of rotation.
type Rule struct {
	Name     string            `json:"name"`               // unique; it also seeds sticky draws
	Service  string            `json:"service"`            // whose calls
	Method   string            `json:"method,omitempty"`   // of which method; "" is all
	Priority int               `json:"priority,omitempty"` // the lowest number that fits a call decides
	Match    map[string]string `json:"match,omitempty"`    // labels that the call must carry
	Branches []Branch          `json:"branches"`

	// Strict makes a call fail with a *NoMatchError if the branch that was
	// drawn for it has no instance in rotation. Else it goes to any instance
	// of the service that carries the call's own labels.
	Strict bool `json:"strict,omitempty"`
}

// Branch is one group of instances and its share of the calls.
type Branch struct {
	Variant string            `json:"variant"`           // its name, for metrics and traces
	Version string            `json:"version,omitempty"` // the instances of this version
	Labels  map[string]string `json:"labels,omitempty"`  // that carry all of these labels
	Weight  int               `json:"weight"`            // per cent of the calls: 0 is none, 100 is all
}

// Rest is the variant of the instances that no branch names. It gets what the
// weights of the branches leave of 100.
const Rest = "rest"

// Validate says what is wrong with the rule.
func (r Rule) Validate() error {
	switch {
	case r.Name == "":
		return fmt.Errorf("rule without a name")
	case r.Service == "":
		return fmt.Errorf("rule %q names no service", r.Name)
	case len(r.Branches) == 0:
		return fmt.Errorf("rule %q has no branches", r.Name)
	}
	sum, seen := 0, map[string]bool{Rest: true}
	for _, b := range r.Branches {
		switch {
		case b.Variant == "" || seen[b.Variant]:
			return fmt.Errorf("rule %q: variant %q is empty, taken or reserved", r.Name, b.Variant)
		case b.Version == "" && len(b.Labels) == 0:
			return fmt.Errorf("rule %q: variant %q names no instances", r.Name, b.Variant)
		case b.Weight < 0 || b.Weight > 100:
			return fmt.Errorf("rule %q: variant %q has weight %d, want 0 to 100", r.Name, b.Variant, b.Weight)
		}
		seen[b.Variant] = true
		sum += b.Weight
	}
	if sum > 100 {
		return fmt.Errorf("rule %q: weights add up to %d, more than 100", r.Name, sum)
	}
	return nil
}

// RuleSource tells which rules there are. Package router/config reads them from
// a configuration.
type RuleSource interface {
	// Rules yields all rules as they are, then all rules after each change. An
	// error is shown in the log, and the rules before it stay in force. The
	// first call of a service waits for the first answer, up to a second.
	Rules(ctx context.Context) iter.Seq2[[]Rule, error]
}

// takes reports whether an instance belongs to the branch.
func (b *Branch) takes(in *discovery.Instance) bool {
	return (b.Version == "" || in.Version == b.Version) && carries(in, b.Labels)
}

// rules is a checked set, by service, in the order in which they are tried.
type rules map[string][]*Rule

func compileRules(all []Rule) (rules, error) {
	out, names := rules{}, map[string]bool{}
	for i := range all {
		r := all[i]
		if err := r.Validate(); err != nil {
			return nil, err
		}
		if names[r.Name] {
			return nil, fmt.Errorf("two rules are called %q", r.Name)
		}
		names[r.Name] = true
		out[r.Service] = append(out[r.Service], &r)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b *Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	}
	return out, nil
}

// applied is a rule with the nodes of its branches; the last is the rest.
type applied struct {
	*Rule
	match    [][2]string
	seed     uint64
	subsets  []*subset
	variants []string
	ends     []int // of each branch in 0 to 100
}

// apply finds the nodes of each branch. An instance belongs to the first
// branch that names it.
func (m *members) apply(s *service, r *Rule) *applied {
	a := &applied{Rule: r, seed: hash(r.Name)}
	for k, v := range r.Match {
		a.match = append(a.match, [2]string{k, v})
	}
	owner := map[*Node]int{}
	for _, n := range m.all {
		owner[n] = len(r.Branches)
		for i := range r.Branches {
			if r.Branches[i].takes(n.Instance()) {
				owner[n] = i
				break
			}
		}
	}
	sum := 0
	for i := range len(r.Branches) + 1 {
		variant := Rest
		if i < len(r.Branches) {
			variant = r.Branches[i].Variant
			sum += r.Branches[i].Weight
		} else {
			sum = 100
		}
		a.variants, a.ends = append(a.variants, variant), append(a.ends, sum)
		a.subsets = append(a.subsets, m.compile(s, func(n *Node) bool { return owner[n] == i }))
	}
	return a
}

// fits reports whether the rule decides a call.
func (a *applied) fits(method string, l *labelSet) bool {
	if a.Method != "" && a.Method != method {
		return false
	}
	for _, kv := range a.match {
		if l == nil || l.m[kv[0]] != kv[1] {
			return false
		}
	}
	return true
}

// draw chooses a branch: by the call's key, so that equal keys stay where they
// are while the weights grow, else by chance.
func (a *applied) draw(r *Request) int {
	x := r.random
	if r.HasKey {
		x = mix(r.Key ^ a.seed)
	}
	p := int(mix(x^0x5bd1e995) % 10000)
	for i, end := range a.ends {
		if p < end*100 {
			return i
		}
	}
	return len(a.ends) - 1
}

// route returns the nodes for a call: those of the branch that a rule draws, or
// of the labels alone. The labels that a rule matches by are the rule's, and
// don't narrow any more.
func (m *members) route(s *service, r *Request, l *labelSet) (sub *subset, rule *applied, branch int) {
	for _, a := range m.rules {
		if !a.fits(r.method, l) {
			continue
		}
		branch = a.draw(r)
		sub = m.narrowed(s, a, branch, l)
		if sub.healthy(r) || a.Strict {
			return sub, a, branch
		}
		return m.narrowed(s, a, -1, l), a, -1
	}
	return m.subset(s, l), nil, 0
}

// without returns the labels that the rule does not match by.
func (a *applied) without(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if _, used := a.Match[k]; !used {
			out[k] = v
		}
	}
	return out
}

// narrowed is the nodes of a branch, or of the rule's fallback, that carry the
// labels which the rule doesn't match by.
func (m *members) narrowed(s *service, a *applied, branch int, l *labelSet) *subset {
	of := m.whole
	if branch >= 0 {
		of = a.subsets[branch]
	}
	if l == nil {
		return of
	}
	return m.labelled.get(subsetKey{l, a, branch}, func() *subset {
		own := a.without(l.m)
		switch {
		case branch < 0:
			return m.carrying(s, own)
		case len(own) == 0:
			return of
		}
		in := map[*Node]bool{}
		for _, n := range of.nodes {
			in[n] = true
		}
		return m.compile(s, func(n *Node) bool { return in[n] && carries(n.Instance(), own) })
	})
}
