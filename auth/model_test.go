package auth_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
)

// model decides as the comments of Rule and Condition say, with no index, no
// compilation and none of the package's code: what it shares with Policies is
// the specification.
type model struct {
	set      auth.RuleSet
	patterns map[string]*regexp.Regexp
}

// The answers of a condition.
const (
	no = iota
	yes
	none
)

func (m *model) decide(t *auth.Token, r auth.Request) auth.Effect {
	result := auth.Deny
	for _, rule := range m.set.Rules {
		if a := m.applies(rule, t, r); rule.Effect == auth.Deny && a != no {
			return auth.Deny
		} else if rule.Effect == auth.Allow && a == yes {
			result = auth.Allow
		}
	}
	return result
}

func (m *model) applies(rule auth.Rule, t *auth.Token, r auth.Request) int {
	for _, s := range rule.Scopes {
		if !slices.Contains(t.Scopes, s) {
			return no
		}
	}
	if len(rule.Roles) > 0 && !slices.ContainsFunc(m.roles(t), func(have string) bool { return slices.Contains(rule.Roles, have) }) {
		return no
	}
	for _, p := range []struct {
		patterns []string
		s        string
	}{{rule.Subjects, t.Subject}, {rule.Issuers, t.Issuer}, {rule.Services, r.Service}, {rule.Actions, r.Action}, {rule.Resources, r.Resource}} {
		if len(p.patterns) > 0 && !slices.ContainsFunc(p.patterns, func(pattern string) bool { return m.match(pattern, p.s) }) {
			return no
		}
	}
	answer := yes
	for _, c := range rule.When {
		switch ask(c, t, r) {
		case no:
			return no
		case none:
			answer = none
		}
	}
	return answer
}

func (m *model) roles(t *auth.Token) []string {
	roles := slices.Concat(t.Roles, m.set.Members[t.Subject])
	for i := 0; i < len(roles); i++ {
		for _, in := range m.set.Includes[roles[i]] {
			if !slices.Contains(roles, in) {
				roles = append(roles, in)
			}
		}
	}
	return roles
}

func (m *model) match(pattern, s string) bool {
	re := m.patterns[pattern]
	if re == nil {
		text := regexp.QuoteMeta(pattern)
		text = regexp.MustCompile(`(\\\*){2,}`).ReplaceAllString(text, "\x00")
		text = strings.ReplaceAll(strings.ReplaceAll(text, `\*`, `[^/]*`), "\x00", ".*")
		if pattern == "*" {
			text = ".*"
		}
		re = regexp.MustCompile("(?s)^" + text + "$")
		m.patterns[pattern] = re
	}
	return re.MatchString(s)
}

// attr is an attribute's value; nil: it isn't there.
func attr(name string, t *auth.Token, r auth.Request) any {
	orNil := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	switch name {
	case "token.subject":
		return orNil(t.Subject)
	case "token.issuer":
		return orNil(t.Issuer)
	case "token.scopes":
		return t.Scopes
	case "token.roles":
		return t.Roles
	case "token.expires":
		if t.ExpiresAt.IsZero() {
			return nil
		}
		return t.ExpiresAt
	case "request.service":
		return r.Service
	case "request.action":
		return r.Action
	case "request.resource":
		return r.Resource
	}
	if name, ok := strings.CutPrefix(name, "request."); ok {
		return r.Attributes[name]
	}
	var v any = t.Claims
	for _, n := range strings.Split(strings.TrimPrefix(name, "claims."), ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[n]
	}
	return v
}

// order compares two single values: -1, 0, 1; false if they don't compare.
func order(a, b any) (int, bool) {
	if x, y := number(a), number(b); x != nil && y != nil {
		return x.Cmp(y), true
	}
	if x, y, both := moments(a, b); both {
		return x.Compare(y), true
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	case bool:
		y, ok := b.(bool)
		return number(len(fmt.Sprint(y))).Cmp(number(len(fmt.Sprint(x)))), ok // "false" is longer, and less
	}
	return 0, false
}

func number(v any) *big.Float {
	switch v := v.(type) {
	case int:
		return new(big.Float).SetInt64(int64(v))
	case int64:
		return new(big.Float).SetInt64(v)
	case float64:
		return big.NewFloat(v)
	}
	return nil
}

// moments are two times, one of which may be written out.
func moments(a, b any) (x, y time.Time, both bool) {
	parse := func(v any) (time.Time, bool, bool) {
		switch v := v.(type) {
		case time.Time:
			return v, true, true
		case string:
			t, err := time.Parse(time.RFC3339, v)
			return t, err == nil, false
		}
		return time.Time{}, false, false
	}
	x, ok1, native1 := parse(a)
	y, ok2, native2 := parse(b)
	return x, y, ok1 && ok2 && (native1 || native2)
}

func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []string:
		out := []any{}
		for _, s := range v {
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

func member(list, v any) int {
	l, ok := elements(list)
	switch v.(type) {
	case string, bool, int, int64, float64, time.Time:
	default:
		ok = false
	}
	if !ok {
		return none
	}
	answer := none
	if len(l) == 0 {
		answer = no
	}
	for _, e := range l {
		switch n, comparable := order(v, e); {
		case comparable && n == 0:
			return yes
		case comparable:
			answer = no
		}
	}
	return answer
}

func ask(c auth.Condition, t *auth.Token, r auth.Request) int {
	is := func(b bool) int {
		if b {
			return yes
		}
		return no
	}
	left, right := attr(c.Attribute, t, r), c.Value
	if c.Other != "" {
		right = attr(c.Other, t, r)
	}
	there := left != nil
	if l, ok := left.([]string); ok && strings.HasPrefix(c.Attribute, "token.") {
		there = len(l) > 0
	}
	switch c.Op {
	case "exists":
		return is(there)
	case "missing":
		return is(!there)
	}
	if left == nil || right == nil {
		return none
	}
	switch c.Op {
	case "contains":
		if s, ok := left.(string); ok {
			left = []any{s}
		}
		return member(left, right)
	case "in":
		return member(right, left)
	case "prefix":
		a, ok1 := left.(string)
		b, ok2 := right.(string)
		if !ok1 || !ok2 {
			return none
		}
		return is(strings.HasPrefix(a, b))
	case "within":
		s, _ := left.(string)
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return none
		}
		list, ok := elements(right)
		if !ok {
			list = []any{right}
		}
		return is(slices.ContainsFunc(list, func(n any) bool { return netip.MustParsePrefix(n.(string)).Contains(ip) }))
	}
	n, ok := order(left, right)
	if !ok {
		return none
	}
	return is(map[string]bool{"eq": n == 0, "ne": n != 0, "lt": n < 0, "le": n <= 0, "gt": n > 0, "ge": n >= 0}[c.Op])
}

// TestPoliciesAgreeWithTheModel compares 100 000 random decisions.
func TestPoliciesAgreeWithTheModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(20260131, 7))
	g := generator{rnd}
	effects := [2]int{}
	for range 2000 {
		set := g.set()
		p := policies(t, set)
		m := &model{set, map[string]*regexp.Regexp{}}
		for range 50 {
			token, r := g.token(), g.request()
			want := m.decide(token, r)
			effects[want]++
			if d := decide(t, p, token, r); d.Effect != want {
				rules, _ := json.Marshal(set)
				t.Fatalf("%s by %q, the model says %s\ntoken %+v %v %v %v\nrequest %+v\nrules %s", d.Effect, d.Rule, want, token, token.Scopes, token.Roles, token.Claims, r, rules)
			}
		}
	}
	if effects[auth.Allow] < 10_000 || effects[auth.Deny] < 10_000 {
		t.Errorf("%d allowed and %d denied: the cases are lopsided", effects[auth.Allow], effects[auth.Deny])
	}
}

// generator makes rule sets, tokens and requests that meet often.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// some is a few of them, often none.
func (g generator) some(oneIn int, from ...string) (out []string) {
	for _, s := range from {
		if g.IntN(oneIn) == 0 {
			out = append(out, s)
		}
	}
	return out
}

// value is what an attribute may be, or what it may be compared with.
func (g generator) value() any {
	return pick[any](g, nil, "x", "y", "", "xy", "2026-01-01T00:00:00Z", "10.1.2.3", true, false, 0, 3, int64(-3), int64(9007199254740993),
		3.0, 3.5, 9007199254740992.0, []any{}, []any{"x", 3.0}, []any{true}, []any{"y"}, []any{nil}, []string{"x"}, []string{},
		map[string]any{"x": "y"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
}

func (g generator) attribute() string {
	return pick(g, "token.subject", "token.issuer", "token.scopes", "token.roles", "token.expires", "claims.a", "claims.b", "claims.a.x",
		"request.service", "request.resource", "request.k", "request.l")
}

func (g generator) condition() auth.Condition {
	for {
		c := auth.Condition{Attribute: g.attribute(), Op: pick(g, "eq", "ne", "lt", "le", "gt", "ge", "in", "prefix", "contains", "within", "exists", "missing")}
		switch {
		case c.Op == "within":
			c.Value = pick[any](g, "10.0.0.0/8", []any{"11.0.0.0/8"}, []string{"11.0.0.0/8", "10.1.0.0/16"})
		case c.Op == "exists" || c.Op == "missing":
		case g.IntN(2) == 0:
			c.Other = g.attribute()
		default:
			c.Value = g.value()
		}
		if (auth.RuleSet{Rules: []auth.Rule{{ID: "c", When: []auth.Condition{c}}}}).Validate() == nil {
			return c
		}
	}
}

func (g generator) set() auth.RuleSet {
	s := auth.RuleSet{Members: map[string][]string{"b": {"r2"}}, Includes: map[string][]string{"r3": {"r1"}, "r1": {"r4"}, "r4": {"r1"}}}
	for i := range 1 + g.IntN(8) {
		r := auth.Rule{
			ID: fmt.Sprint(i), Effect: pick(g, auth.Allow, auth.Allow, auth.Deny),
			Subjects: g.some(4, "a", "b", "a*", "*", "x/*"), Roles: g.some(6, "r1", "r2", "r3"), Scopes: g.some(8, "s1", "s2"), Issuers: g.some(12, "i", "j"),
			Services: g.some(10, "orders", "o*"), Actions: g.some(8, "GET", "PUT", "G*", "*"), Resources: g.some(8, "/a", "/a/*", "/b/**", "/*", "**/z"),
		}
		if r.Effect == auth.Allow && len(r.Subjects)+len(r.Roles)+len(r.Scopes) == 0 {
			r.Subjects = []string{"*"}
		}
		for range g.IntN(3) {
			r.When = append(r.When, g.condition())
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

func (g generator) token() *auth.Token {
	t := &auth.Token{
		Subject: pick(g, "a", "b", "ab", "x/y", "x/y/z", ""), Issuer: pick(g, "i", "j", ""),
		Roles: g.some(3, "r1", "r2", "r3", "x"), Scopes: g.some(2, "s1", "s2", "x"), Claims: map[string]any{},
	}
	if g.IntN(2) == 0 {
		t.ExpiresAt = time.Date(2026, 1, 1+g.IntN(2), 0, 0, 0, 0, time.UTC)
	}
	for _, name := range g.some(2, "a", "b") {
		t.Claims[name] = g.value()
	}
	return t
}

func (g generator) request() auth.Request {
	r := auth.Request{Service: pick(g, "orders", "other", ""), Action: pick(g, "GET", "PUT", ""), Resource: pick(g, "/a", "/a/1", "/b/1/2", "/c/z", "x", "")}
	for _, name := range g.some(2, "k", "l") {
		if r.Attributes == nil {
			r.Attributes = map[string]any{}
		}
		r.Attributes[name] = g.value()
	}
	return r
}
