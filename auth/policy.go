package auth

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Effect is the outcome of a decision. Its zero value denies.
type Effect int

// The two effects.
const (
	Deny Effect = iota
	Allow
)

// String returns "deny" or "allow".
func (e Effect) String() string {
	if e == Allow {
		return "allow"
	}
	return "deny"
}

// MarshalText writes "deny" or "allow".
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads "deny" or "allow" and nothing else.
func (e *Effect) UnmarshalText(b []byte) error {
	switch string(b) {
	case "allow":
		*e = Allow
	case "deny":
		*e = Deny
	default:
		return fmt.Errorf("%w: effect %q, want allow or deny", ErrInvalid, b)
	}
	return nil
}

// Rule allows or denies. It applies to a request when everything that it names
// applies: one of the subjects, one of the roles, all of the scopes, one of the
// services, actions and resources, and all conditions. What it leaves empty, it
// does not ask about; but an allowing rule must say whom it allows, by
// Subjects, Roles or Scopes.
//
// Subjects, Issuers, Services, Actions and Resources are patterns: "*" alone is
// anything; within a pattern "*" is any run of characters but "/", and "**" any
// run at all. Patterns are compared byte for byte.
type Rule struct {
	ID          string      `json:"id" yaml:"id" toml:"id"` // unique in its set
	Effect      Effect      `json:"effect" yaml:"effect" toml:"effect"`
	Subjects    []string    `json:"subjects,omitempty" yaml:"subjects,omitempty" toml:"subjects,omitempty"`
	Issuers     []string    `json:"issuers,omitempty" yaml:"issuers,omitempty" toml:"issuers,omitempty"` // who vouches for the subject, where there are several
	Roles       []string    `json:"roles,omitempty" yaml:"roles,omitempty" toml:"roles,omitempty"`
	Scopes      []string    `json:"scopes,omitempty" yaml:"scopes,omitempty" toml:"scopes,omitempty"`
	Services    []string    `json:"services,omitempty" yaml:"services,omitempty" toml:"services,omitempty"`
	Actions     []string    `json:"actions,omitempty" yaml:"actions,omitempty" toml:"actions,omitempty"`
	Resources   []string    `json:"resources,omitempty" yaml:"resources,omitempty" toml:"resources,omitempty"`
	When        []Condition `json:"when,omitempty" yaml:"when,omitempty" toml:"when,omitempty"`
	Description string      `json:"description,omitempty" yaml:"description,omitempty" toml:"description,omitempty"`
}

// RuleSet is a whole policy.
type RuleSet struct {
	Revision string `json:"revision,omitempty" yaml:"revision,omitempty" toml:"revision,omitempty"` // shown in decisions
	Rules    []Rule `json:"rules" yaml:"rules" toml:"rules"`

	// Members gives subjects roles beyond those in their tokens:
	// "alice": ["editor"].
	Members map[string][]string `json:"members,omitempty" yaml:"members,omitempty" toml:"members,omitempty"`
	// Includes gives who has a role the roles in it: "editor": ["reader"].
	Includes map[string][]string `json:"includes,omitempty" yaml:"includes,omitempty" toml:"includes,omitempty"`
}

// Validate reports what NewPolicies would say. A configuration that binds a
// RuleSet asks it, so that a bad set never becomes the running one.
func (s RuleSet) Validate() error {
	_, err := compile(s)
	return err
}

// AllowAuthenticated is a rule that allows every known caller everything.
func AllowAuthenticated() Rule {
	return Rule{ID: "authenticated", Effect: Allow, Subjects: []string{"*"}}
}

// Decision is what a policy says to a request, and why.
type Decision struct {
	Effect   Effect
	Rule     string // the rule that decided; empty if none applied
	Reason   string
	Revision string // of the rule set
}

// Decider is a policy engine. Whatever goes wrong is a denial: an error is
// never an Allow. The token was verified.
type Decider interface {
	Decide(ctx context.Context, t *Token, r Request) (Decision, error)
}

// DeciderFunc makes a Decider of a function.
type DeciderFunc func(ctx context.Context, t *Token, r Request) (Decision, error)

// Decide calls f.
func (f DeciderFunc) Decide(ctx context.Context, t *Token, r Request) (Decision, error) {
	return f(ctx, t, r)
}

// Policies decides by rules. Nothing is allowed unless a rule allows it, and no
// rule allows what another denies. All methods may be called at once; a
// decision sees one whole rule set.
type Policies struct{ set atomic.Pointer[ruleset] }

// NewPolicies compiles a rule set. An empty one denies everything.
func NewPolicies(s RuleSet) (*Policies, error) {
	p := &Policies{}
	return p, p.Replace(s)
}

// Replace swaps the rule set in one step. With an error the old one stays.
func (p *Policies) Replace(s RuleSet) error {
	c, err := compile(s)
	if err != nil {
		return err
	}
	p.set.Store(c)
	return nil
}

// Revision returns the Revision of the rule set in use.
func (p *Policies) Revision() string { return p.set.Load().revision }

// Decide implements Decider. It takes no time that depends on the number of
// rules, unless many rules name no subject, role, action or resource to find
// them by. It doesn't allocate, and its error is always nil.
func (p *Policies) Decide(_ context.Context, t *Token, r Request) (Decision, error) {
	return p.set.Load().decide(t, &r), nil
}

// DecideAll decides many requests of one caller against one rule set.
func (p *Policies) DecideAll(_ context.Context, t *Token, rs []Request) []Decision {
	set, ds := p.set.Load(), make([]Decision, len(rs))
	for i := range rs {
		ds[i] = set.decide(t, &rs[i])
	}
	return ds
}

// Explanation is a decision with what every rule had to say.
type Explanation struct {
	Decision
	Roles []string // of the subject, with those that the set gives it
	Rules []RuleOpinion
}

// RuleOpinion is what one rule has to say to a request.
type RuleOpinion struct {
	Rule    string
	Effect  Effect
	Applies bool
	Why     string // the first thing that kept it from applying, or "applies"
}

// Explain decides and tells what every rule thought, in the order of the set.
// It is for people: it looks at all rules.
func (p *Policies) Explain(_ context.Context, t *Token, r Request) Explanation {
	return p.set.Load().explain(t, &r)
}
