package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits of a rule set, so that a configuration gone wrong is an error and not
// an outage.
const (
	maxRules   = 100_000
	maxPattern = 1024
)

// ruleset is a compiled RuleSet; immutable.
type ruleset struct {
	revision string
	rules    []rule
	members  map[string][]string // subject → roles, closed under Includes
	includes map[string][]string // role → roles in it, closed
	denials  index
	allows   index
}

// rule is a compiled Rule.
type rule struct {
	id                                              string
	effect                                          Effect
	subjects, issuers, services, actions, resources []pattern
	roles, scopes                                   []string
	when                                            []condition
}

func compile(s RuleSet) (*ruleset, error) {
	if len(s.Rules) > maxRules {
		return nil, fmt.Errorf("%w: %d rules, want %d or less", ErrInvalid, len(s.Rules), maxRules)
	}
	out := &ruleset{revision: s.Revision, rules: make([]rule, 0, len(s.Rules)), includes: closure(s.Includes)}
	out.members = make(map[string][]string, len(s.Members))
	for subject, roles := range s.Members {
		if subject == "" {
			return nil, fmt.Errorf("%w: roles for an empty subject", ErrInvalid)
		}
		out.members[subject] = out.expand(roles)
	}
	seen := make(map[string]bool, len(s.Rules))
	for i, r := range s.Rules {
		c, err := compileRule(r)
		if err == nil && seen[r.ID] {
			err = fmt.Errorf("%w: its id occurs twice", ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("rule %d %q: %w", i, r.ID, err)
		}
		seen[r.ID] = true
		out.rules = append(out.rules, c)
	}
	// A rule for readers is a rule for whoever has a role that includes reader.
	for i := range out.rules {
		r := &out.rules[i]
		if len(r.roles) == 0 {
			continue
		}
		for _, role := range slices.Sorted(maps.Keys(out.includes)) {
			if !slices.Contains(r.roles, role) && slices.ContainsFunc(out.includes[role], func(in string) bool { return slices.Contains(r.roles, in) }) {
				r.roles = append(r.roles, role)
			}
		}
	}
	out.denials, out.allows = buildIndex(out.rules, Deny), buildIndex(out.rules, Allow)
	return out, nil
}

func compileRule(r Rule) (rule, error) {
	c := rule{id: r.ID, effect: r.Effect, roles: slices.Clone(r.Roles), scopes: slices.Clone(r.Scopes)}
	switch {
	case r.ID == "":
		return c, fmt.Errorf("%w: no id", ErrInvalid)
	case r.Effect != Allow && r.Effect != Deny:
		return c, fmt.Errorf("%w: effect %d", ErrInvalid, r.Effect)
	case r.Effect == Allow && len(r.Subjects)+len(r.Roles)+len(r.Scopes) == 0:
		return c, fmt.Errorf(`%w: allows nobody in particular; say subjects, roles or scopes (subjects "*" is every known caller)`, ErrInvalid)
	case slices.Contains(r.Roles, ""), slices.Contains(r.Scopes, ""):
		return c, fmt.Errorf("%w: empty role or scope", ErrInvalid)
	case strings.Contains(strings.Join(r.Roles, "")+strings.Join(r.Scopes, ""), "*"):
		return c, fmt.Errorf("%w: roles and scopes are names, not patterns", ErrInvalid)
	}
	for _, l := range []struct {
		name string
		from []string
		to   *[]pattern
	}{
		{"subjects", r.Subjects, &c.subjects}, {"issuers", r.Issuers, &c.issuers}, {"services", r.Services, &c.services},
		{"actions", r.Actions, &c.actions}, {"resources", r.Resources, &c.resources},
	} {
		for _, s := range l.from {
			if s == "" || len(s) > maxPattern || strings.Count(s, "*") > 16 {
				return c, fmt.Errorf("%w: pattern %.80q in %s", ErrInvalid, s, l.name)
			}
			*l.to = append(*l.to, compilePattern(s))
		}
	}
	for _, w := range r.When {
		cond, err := compileCondition(w)
		if err != nil {
			return c, err
		}
		c.when = append(c.when, cond)
	}
	return c, nil
}

// closure follows includes to their ends; cycles are harmless.
func closure(in map[string][]string) map[string][]string {
	out := make(map[string][]string, len(in))
	for role := range in {
		found := map[string]bool{}
		todo := []string{role}
		for len(todo) > 0 {
			next := todo[0]
			todo = todo[1:]
			for _, r := range in[next] {
				if r != role && !found[r] {
					found[r] = true
					todo = append(todo, r)
				}
			}
		}
		out[role] = slices.Sorted(maps.Keys(found))
	}
	return out
}

func (s *ruleset) expand(roles []string) []string {
	all := slices.Clone(roles)
	for _, r := range roles {
		all = append(all, s.includes[r]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// applies reports whether the rule applies. err is errUnknown if a condition
// had no answer and everything else applied.
func (r *rule) applies(t *Token, q *Request, members []string) (bool, error) {
	if !anyMatch(r.services, q.Service) || !anyMatch(r.actions, q.Action) || !anyMatch(r.resources, q.Resource) ||
		!anyMatch(r.subjects, t.Subject) || !anyMatch(r.issuers, t.Issuer) || !r.scoped(t) || !r.cast(t, members) {
		return false, nil
	}
	var unknown error
	for i := range r.when {
		ok, err := r.when[i].eval(t, q)
		if err != nil {
			unknown = err
		} else if !ok {
			return false, nil
		}
	}
	return unknown == nil, unknown
}

func (r *rule) scoped(t *Token) bool {
	for _, s := range r.scopes {
		if !slices.Contains(t.Scopes, s) {
			return false
		}
	}
	return true
}

func (r *rule) cast(t *Token, members []string) bool {
	has := func(role string) bool { return slices.Contains(t.Roles, role) || slices.Contains(members, role) }
	return len(r.roles) == 0 || slices.ContainsFunc(r.roles, has)
}

func (s *ruleset) decide(t *Token, q *Request) Decision {
	d := Decision{Reason: "no rule allows it", Revision: s.revision}
	if t == nil {
		d.Reason = "no token"
		return d
	}
	if len(s.rules) == 0 {
		d.Reason = "no rules"
		return d
	}
	walk := walker{t: t, q: q, members: s.members[t.Subject], rules: s.rules}
	if walk.find(&s.denials) {
		d.Rule, d.Reason = s.rules[walk.found].id, "a rule denies it"
		if walk.unknown {
			d.Reason = "a condition of a denying rule has no answer"
		}
		return d
	}
	if walk.find(&s.allows) {
		d.Effect, d.Rule, d.Reason = Allow, s.rules[walk.found].id, "a rule allows it"
	}
	return d
}

func (s *ruleset) explain(t *Token, q *Request) Explanation {
	e := Explanation{Decision: s.decide(t, q)}
	if t == nil {
		return e
	}
	members := s.members[t.Subject]
	e.Roles = s.expand(append(slices.Clone(t.Roles), members...))
	for i := range s.rules {
		r := &s.rules[i]
		o := RuleOpinion{Rule: r.id, Effect: r.effect, Why: "applies"}
		ok, err := r.applies(t, q, members)
		o.Applies = ok || err != nil && r.effect == Deny
		switch {
		case err != nil:
			o.Why = "a condition has no answer"
		case !ok:
			o.Why = r.hindrance(t, q, members)
		}
		e.Rules = append(e.Rules, o)
	}
	return e
}

// hindrance names the first thing that kept a rule from applying.
func (r *rule) hindrance(t *Token, q *Request, members []string) string {
	switch {
	case !anyMatch(r.subjects, t.Subject):
		return fmt.Sprintf("subject %q", t.Subject)
	case !anyMatch(r.issuers, t.Issuer):
		return fmt.Sprintf("issuer %q", t.Issuer)
	case !r.cast(t, members):
		return fmt.Sprintf("none of the roles %q", r.roles)
	case !r.scoped(t):
		return fmt.Sprintf("not all of the scopes %q", r.scopes)
	case !anyMatch(r.services, q.Service):
		return fmt.Sprintf("service %q", q.Service)
	case !anyMatch(r.actions, q.Action):
		return fmt.Sprintf("action %q", q.Action)
	case !anyMatch(r.resources, q.Resource):
		return fmt.Sprintf("resource %q", q.Resource)
	}
	return "a condition is false"
}
