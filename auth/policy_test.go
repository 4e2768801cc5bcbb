package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
)

func policies(t testing.TB, s auth.RuleSet) *auth.Policies {
	t.Helper()
	p, err := auth.NewPolicies(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decide(t testing.TB, p *auth.Policies, token *auth.Token, r auth.Request) auth.Decision {
	t.Helper()
	d, err := p.Decide(t.Context(), token, r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecisions(t *testing.T) {
	p := policies(t, auth.RuleSet{
		Revision: "r1",
		Rules: []auth.Rule{
			{ID: "readers", Effect: auth.Allow, Roles: []string{"reader"}, Actions: []string{"GET", "HEAD"}},
			{ID: "editors", Effect: auth.Allow, Roles: []string{"editor"}, Services: []string{"orders"}, Resources: []string{"/orders/**"}},
			{ID: "machines", Effect: auth.Allow, Scopes: []string{"write", "orders"}, Actions: []string{"POST"}},
			{ID: "own", Effect: auth.Allow, Subjects: []string{"*"}, Resources: []string{"/users/*"}, When: []auth.Condition{{Attribute: "request.owner", Op: "eq", Other: "token.subject"}}},
			{ID: "no secrets", Effect: auth.Deny, Resources: []string{"**/secret"}},
			{ID: "not from outside", Effect: auth.Deny, Actions: []string{"DELETE"}, When: []auth.Condition{{Attribute: "claims.net.zone", Op: "ne", Value: "inside"}}},
			{ID: "partner", Effect: auth.Allow, Subjects: []string{"bob"}, Issuers: []string{"https://partner"}, Actions: []string{"PATCH"}},
		},
		Members:  map[string][]string{"alice": {"editor"}},
		Includes: map[string][]string{"admin": {"editor"}, "editor": {"reader"}, "reader": {"reader"}},
	})
	get := func(s string) auth.Request { return auth.Request{Service: "orders", Action: "GET", Resource: s} }
	for _, c := range []struct {
		name  string
		token *auth.Token
		r     auth.Request
		rule  string
		allow bool
	}{
		{"nobody", nil, get("/x"), "", false},
		{"somebody without anything", &auth.Token{Subject: "x"}, get("/x"), "", false},
		{"role in the token", &auth.Token{Subject: "x", Roles: []string{"reader"}}, get("/x"), "readers", true},
		{"role by inclusion", &auth.Token{Subject: "x", Roles: []string{"admin"}}, get("/x"), "readers", true},
		{"role by membership", &auth.Token{Subject: "alice"}, auth.Request{Service: "orders", Action: "PUT", Resource: "/orders/1/items/2"}, "editors", true},
		{"another service", &auth.Token{Subject: "alice"}, auth.Request{Service: "billing", Action: "PUT", Resource: "/orders/1"}, "", false},
		{"role, wrong action", &auth.Token{Subject: "x", Roles: []string{"reader"}}, auth.Request{Action: "PUT"}, "", false},
		{"deny wins", &auth.Token{Subject: "x", Roles: []string{"reader"}}, get("/a/b/secret"), "no secrets", false},
		{"both scopes", &auth.Token{ClientID: "m", Scopes: []string{"orders", "write"}}, auth.Request{Action: "POST"}, "machines", true},
		{"one scope", &auth.Token{ClientID: "m", Scopes: []string{"write"}}, auth.Request{Action: "POST"}, "", false},
		{"the owner", &auth.Token{Subject: "u"}, auth.Request{Resource: "/users/u", Attributes: map[string]any{"owner": "u"}}, "own", true},
		{"not the owner", &auth.Token{Subject: "u"}, auth.Request{Resource: "/users/u", Attributes: map[string]any{"owner": "v"}}, "", false},
		{"owner unknown", &auth.Token{Subject: "u"}, auth.Request{Resource: "/users/u"}, "", false},
		{"no subject is nobody's owner", &auth.Token{ClientID: "m"}, auth.Request{Resource: "/users/u", Attributes: map[string]any{"owner": ""}}, "", false},
		{"inside", &auth.Token{Subject: "alice", Claims: map[string]any{"net": map[string]any{"zone": "inside"}}}, auth.Request{Service: "orders", Action: "DELETE", Resource: "/orders/1"}, "editors", true},
		{"outside", &auth.Token{Subject: "alice", Claims: map[string]any{"net": map[string]any{"zone": "outside"}}}, auth.Request{Service: "orders", Action: "DELETE", Resource: "/orders/1"}, "not from outside", false},
		{"a denial that can't be answered denies", &auth.Token{Subject: "alice"}, auth.Request{Service: "orders", Action: "DELETE", Resource: "/orders/1"}, "not from outside", false},
		{"the partner's bob", &auth.Token{Subject: "bob", Issuer: "https://partner"}, auth.Request{Action: "PATCH"}, "partner", true},
		{"our bob", &auth.Token{Subject: "bob", Issuer: "https://us"}, auth.Request{Action: "PATCH"}, "", false},
	} {
		d := decide(t, p, c.token, c.r)
		if (d.Effect == auth.Allow) != c.allow || d.Rule != c.rule || d.Revision != "r1" || d.Reason == "" {
			t.Errorf("%s: %+v, want allow %t by %q", c.name, d, c.allow, c.rule)
		}
		if unknown := strings.Contains(c.name, "can't be answered"); unknown != strings.Contains(d.Reason, "no answer") {
			t.Errorf("%s: %q", c.name, d.Reason)
		}
		if e := p.Explain(t.Context(), c.token, c.r); e.Decision != d || c.token != nil && len(e.Rules) != 7 {
			t.Errorf("%s: Explain says %+v, Decide %+v", c.name, e.Decision, d)
		}
	}
}

func TestExplainedRolesAreSortedAndSaidOnce(t *testing.T) {
	p := policies(t, auth.RuleSet{
		Rules:    []auth.Rule{auth.AllowAuthenticated()},
		Members:  map[string][]string{"alice": {"editor"}},
		Includes: map[string][]string{"admin": {"editor", "zoo"}, "editor": {"reader"}},
	})
	e := p.Explain(t.Context(), &auth.Token{Subject: "alice", Roles: []string{"zoo", "admin"}}, auth.Request{})
	if want := []string{"admin", "editor", "reader", "zoo"}; !slices.Equal(e.Roles, want) {
		t.Errorf("roles %q, want %q", e.Roles, want)
	}
}

func TestSizeOfARuleSet(t *testing.T) {
	rules := make([]auth.Rule, 100_001)
	for i := range rules {
		rules[i].ID = fmt.Sprint(i)
	}
	for n, ok := range map[int]bool{100_000: true, 100_001: false} {
		if _, err := auth.NewPolicies(auth.RuleSet{Rules: rules[:n]}); (err == nil) != ok || err != nil && !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%d rules: %v, want success %t", n, err, ok)
		}
	}
}

func TestConditions(t *testing.T) {
	token := &auth.Token{Subject: "u", Scopes: []string{"a", "b"}, ExpiresAt: time.Unix(2000, 0), Claims: map[string]any{
		"level": int64(3), "ratio": 0.5, "vip": true, "groups": []any{"x", int64(7)}, "group": "nonadmin", "big": int64(9007199254740993), "name": "ann",
		"object": map[string]any{"in": "x"}, "null": nil, "empty": []any{}, "x": "x", "huge": 1e300, "most": int64(math.MaxInt64), "least": int64(math.MinInt64),
	}}
	r := auth.Request{Service: "s", Action: "act", Resource: "/r", Attributes: map[string]any{
		"ip": "10.1.2.3", "ip6": "::ffff:10.1.2.3", "n": 5, "list": []string{"u", "v"}, "at": time.Unix(1000, 0), "weird": struct{}{},
		"nan": math.NaN(), "zone": "fe80::1%eth0",
	}}
	for _, c := range []struct {
		cond auth.Condition
		want string // true, false, unknown
	}{
		{auth.Condition{Attribute: "token.subject", Op: "eq", Value: "u"}, "true"},
		{auth.Condition{Attribute: "token.subject", Op: "ne", Value: "u"}, "false"},
		{auth.Condition{Attribute: "token.subject", Op: "in", Value: []any{"v", "u"}}, "true"},
		{auth.Condition{Attribute: "token.subject", Op: "in", Value: []string{"v"}}, "false"},
		{auth.Condition{Attribute: "token.subject", Op: "in", Other: "request.list"}, "true"},
		{auth.Condition{Attribute: "token.subject", Op: "in", Value: []any{1.0}}, "unknown"},
		{auth.Condition{Attribute: "token.client", Op: "eq", Value: ""}, "unknown"},
		{auth.Condition{Attribute: "token.scopes", Op: "contains", Value: "b"}, "true"},
		{auth.Condition{Attribute: "token.scopes", Op: "contains", Value: "c"}, "false"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Value: 7}, "true"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Value: 8}, "false"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Value: "x"}, "true"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Value: "admin"}, "false"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Value: true}, "unknown"}, // nothing of its type
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Other: "claims.name"}, "false"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Other: "claims.x"}, "true"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Other: "claims.none"}, "unknown"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Other: "claims.groups"}, "unknown"},
		{auth.Condition{Attribute: "claims.groups", Op: "contains", Other: "claims.object"}, "unknown"},
		{auth.Condition{Attribute: "claims.nothing", Op: "contains", Value: "x"}, "unknown"},
		{auth.Condition{Attribute: "claims.empty", Op: "contains", Value: "x"}, "false"},
		{auth.Condition{Attribute: "claims.empty", Op: "contains", Other: "claims.none"}, "unknown"},
		{auth.Condition{Attribute: "token.scopes", Op: "contains", Other: "claims.none"}, "unknown"},
		{auth.Condition{Attribute: "token.scopes", Op: "contains", Value: 7}, "unknown"},
		{auth.Condition{Attribute: "token.roles", Op: "contains", Value: "x"}, "false"}, // it has none
		{auth.Condition{Attribute: "token.subject", Op: "contains", Other: "claims.none"}, "unknown"},
		{auth.Condition{Attribute: "claims.level", Op: "contains", Value: 3}, "unknown"}, // a number is no list
		{auth.Condition{Attribute: "token.subject", Op: "in", Other: "claims.none"}, "unknown"},
		{auth.Condition{Attribute: "token.subject", Op: "in", Other: "claims.empty"}, "false"},
		{auth.Condition{Attribute: "token.scopes", Op: "in", Other: "claims.empty"}, "unknown"},
		{auth.Condition{Attribute: "claims.level", Op: "in", Other: "request.list"}, "unknown"},
		{auth.Condition{Attribute: "claims.object", Op: "exists"}, "true"},
		{auth.Condition{Attribute: "claims.object", Op: "missing"}, "false"},
		{auth.Condition{Attribute: "claims.object", Op: "eq", Value: 1}, "unknown"},
		{auth.Condition{Attribute: "claims.object.in", Op: "eq", Value: "x"}, "true"},
		{auth.Condition{Attribute: "claims.null", Op: "exists"}, "false"},
		{auth.Condition{Attribute: "claims.null", Op: "missing"}, "true"},
		{auth.Condition{Attribute: "claims.empty", Op: "exists"}, "true"},
		{auth.Condition{Attribute: "token.roles", Op: "exists"}, "false"},
		{auth.Condition{Attribute: "token.roles", Op: "missing"}, "true"},
		{auth.Condition{Attribute: "token.scopes", Op: "exists"}, "true"},
		{auth.Condition{Attribute: "claims.group", Op: "contains", Value: "admin"}, "false"},
		{auth.Condition{Attribute: "claims.group", Op: "contains", Value: "nonadmin"}, "true"},
		{auth.Condition{Attribute: "claims.level", Op: "ge", Value: 3.0}, "true"},
		{auth.Condition{Attribute: "claims.level", Op: "gt", Value: 3}, "false"},
		{auth.Condition{Attribute: "claims.level", Op: "lt", Other: "request.n"}, "true"},
		{auth.Condition{Attribute: "claims.level", Op: "eq", Value: "3"}, "unknown"},
		{auth.Condition{Attribute: "claims.big", Op: "eq", Value: int64(9007199254740992)}, "false"},
		{auth.Condition{Attribute: "claims.big", Op: "gt", Value: 9007199254740992.0}, "true"},
		{auth.Condition{Attribute: "claims.big", Op: "eq", Value: 9007199254740992.0}, "false"},
		{auth.Condition{Attribute: "claims.big", Op: "lt", Other: "claims.huge"}, "true"},
		{auth.Condition{Attribute: "claims.huge", Op: "gt", Other: "claims.big"}, "true"},
		{auth.Condition{Attribute: "claims.most", Op: "lt", Value: 9223372036854775808.0}, "true"},
		{auth.Condition{Attribute: "claims.most", Op: "gt", Value: 9223372036854774784.0}, "true"},
		{auth.Condition{Attribute: "claims.least", Op: "eq", Value: -9223372036854775808.0}, "true"},
		{auth.Condition{Attribute: "claims.least", Op: "gt", Value: -9223372036854777856.0}, "true"},
		{auth.Condition{Attribute: "claims.least", Op: "lt", Value: -9223372036854774784.0}, "true"},
		{auth.Condition{Attribute: "claims.level", Op: "lt", Value: 3.5}, "true"},
		{auth.Condition{Attribute: "claims.level", Op: "lt", Value: 2.5}, "false"},
		{auth.Condition{Attribute: "claims.ratio", Op: "lt", Other: "claims.level"}, "true"},
		{auth.Condition{Attribute: "request.nan", Op: "eq", Other: "claims.level"}, "unknown"},
		{auth.Condition{Attribute: "claims.level", Op: "ge", Other: "request.nan"}, "unknown"},
		{auth.Condition{Attribute: "request.nan", Op: "ne", Other: "request.nan"}, "unknown"},
		{auth.Condition{Attribute: "claims.ratio", Op: "le", Value: 0.5}, "true"},
		{auth.Condition{Attribute: "claims.vip", Op: "eq", Value: true}, "true"},
		{auth.Condition{Attribute: "claims.vip", Op: "eq", Value: "true"}, "unknown"},
		{auth.Condition{Attribute: "claims.name", Op: "prefix", Value: "an"}, "true"},
		{auth.Condition{Attribute: "claims.level", Op: "prefix", Value: "3"}, "unknown"},
		{auth.Condition{Attribute: "claims.none", Op: "exists"}, "false"},
		{auth.Condition{Attribute: "claims.none", Op: "missing"}, "true"},
		{auth.Condition{Attribute: "claims.name.deeper", Op: "eq", Value: "x"}, "unknown"},
		{auth.Condition{Attribute: "token.expires", Op: "gt", Other: "request.at"}, "true"},
		{auth.Condition{Attribute: "token.expires", Op: "gt", Value: "1970-01-01T00:00:00Z"}, "true"},
		{auth.Condition{Attribute: "token.expires", Op: "gt", Value: "soon"}, "unknown"},
		{auth.Condition{Attribute: "request.zone", Op: "within", Value: "fe80::/10"}, "true"},
		{auth.Condition{Attribute: "request.ip", Op: "within", Value: []any{"192.168.0.0/16", "10.0.0.0/8"}}, "true"},
		{auth.Condition{Attribute: "request.ip6", Op: "within", Value: "10.0.0.0/8"}, "true"},
		{auth.Condition{Attribute: "request.ip", Op: "within", Value: "11.0.0.0/8"}, "false"},
		{auth.Condition{Attribute: "request.n", Op: "within", Value: "11.0.0.0/8"}, "unknown"},
		{auth.Condition{Attribute: "request.weird", Op: "eq", Value: 1}, "unknown"},
		{auth.Condition{Attribute: "request.service", Op: "eq", Value: "s"}, "true"},
		{auth.Condition{Attribute: "request.action", Op: "eq", Value: "act"}, "true"},
		{auth.Condition{Attribute: "request.resource", Op: "eq", Value: "/r"}, "true"},
		{auth.Condition{Attribute: "request.nothing", Op: "eq", Other: "claims.nothing"}, "unknown"},
	} {
		allow := decide(t, policies(t, auth.RuleSet{Rules: []auth.Rule{{ID: "a", Effect: auth.Allow, Subjects: []string{"*"}, When: []auth.Condition{c.cond}}}}), token, r).Effect == auth.Allow
		deny := decide(t, policies(t, auth.RuleSet{Rules: []auth.Rule{auth.AllowAuthenticated(), {ID: "d", Effect: auth.Deny, When: []auth.Condition{c.cond}}}}), token, r).Effect == auth.Deny
		got := "false"
		switch {
		case allow && deny:
			got = "true"
		case deny:
			got = "unknown"
		}
		if got != c.want || allow && !deny {
			t.Errorf("%+v: %s (allows %t, denies %t), want %s", c.cond, got, allow, deny, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "/a/b", true}, {"**", "/a/b", true}, {"/a", "/a", true}, {"/a", "/A", false}, {"/a", "/a/", false},
		{"/a/*", "/a/b", true}, {"/a/*", "/a/", true}, {"/a/*", "/a", false}, {"/a/*", "/a/b/c", false}, {"/a/**", "/a/b/c", true}, {"/a/**", "/ab", false},
		{"*.Get", "Orders.Get", true}, {"*.Get", "a/Orders.Get", false}, {"**.Get", "a/Orders.Get", true}, {"/*/x", "/a/x", true}, {"/*/x", "/a/b/x", false},
		{"/**/x", "/a/b/x", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "abbbbc", true}, {"a*b*c", "abbbb", false}, {"a**b*c", "a/x/bYc", true}, {"a*b**c", "aXb/y/c", true},
		{"a*b**c", "a/b/c", false}, {"**a*b", "xa/ab", true}, {"**a*b", "xa/a/b", false}, {"***", "x/y", true}, {"a***b", "a/b", true},
	} {
		p := policies(t, auth.RuleSet{Rules: []auth.Rule{{ID: "x", Effect: auth.Allow, Subjects: []string{"*"}, Resources: []string{c.pattern}}}})
		if got := decide(t, p, &auth.Token{Subject: "u"}, auth.Request{Resource: c.s}).Effect == auth.Allow; got != c.want {
			t.Errorf("%q matches %q: %t, want %t", c.pattern, c.s, got, c.want)
		}
	}
	// Many stars on a long string: bounded, not exponential.
	p := policies(t, auth.RuleSet{Rules: []auth.Rule{{ID: "x", Effect: auth.Allow, Subjects: []string{"*"}, Resources: []string{strings.Repeat("a*", 15) + "b"}}}})
	if decide(t, p, &auth.Token{Subject: "u"}, auth.Request{Resource: strings.Repeat("a", 10_000)}).Effect == auth.Allow {
		t.Error("matched")
	}
}

// The index finds what looking at every rule finds.
func TestIndexAgreesWithLookingAtEveryRule(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	some := func(from []string) []string {
		var out []string
		for _, s := range from {
			if rnd.IntN(3) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	subjects, roles, scopes := []string{"a", "b", "a*", "*", "x/*"}, []string{"r1", "r2", "r3"}, []string{"s1", "s2"}
	actions, resources := []string{"GET", "PUT", "G*", "*"}, []string{"/a", "/a/*", "/b/**", "/*", "**/z"}
	for range 400 {
		set := auth.RuleSet{Includes: map[string][]string{"r3": {"r1"}}, Members: map[string][]string{"b": {"r2"}}}
		for i := range 1 + rnd.IntN(12) {
			r := auth.Rule{ID: fmt.Sprint(i), Effect: auth.Effect(rnd.IntN(2)), Subjects: some(subjects), Roles: some(roles), Scopes: some(scopes), Actions: some(actions), Resources: some(resources)}
			if rnd.IntN(4) == 0 {
				r.When = []auth.Condition{{Attribute: "request.k", Op: "eq", Value: "v"}}
			}
			if len(r.Subjects)+len(r.Roles)+len(r.Scopes) == 0 {
				r.Effect = auth.Deny
			}
			set.Rules = append(set.Rules, r)
		}
		p := policies(t, set)
		for range 40 {
			token := &auth.Token{Subject: []string{"a", "b", "ab", "x/y", "x/y/z", ""}[rnd.IntN(6)], Roles: some(roles), Scopes: some(scopes)}
			r := auth.Request{Action: []string{"GET", "PUT", "POST", ""}[rnd.IntN(4)], Resource: []string{"/a", "/a/1", "/b/1/2", "/c/z", ""}[rnd.IntN(5)]}
			if rnd.IntN(2) == 0 {
				r.Attributes = map[string]any{"k": []string{"v", "w"}[rnd.IntN(2)]}
			}
			e := p.Explain(t.Context(), token, r)
			want := auth.Deny
			for _, o := range e.Rules {
				if o.Applies && o.Effect == auth.Allow {
					want = auth.Allow
				}
			}
			for _, o := range e.Rules {
				if o.Applies && o.Effect == auth.Deny {
					want = auth.Deny
				}
			}
			if e.Effect != want {
				b, _ := json.Marshal(set)
				t.Fatalf("%+v of %+v: %s, every rule says %s\n%s\n%+v", r, token, e.Effect, want, b, e.Rules)
			}
		}
	}
}

func TestBadRulesAreRefusedAndTheOldStay(t *testing.T) {
	p := policies(t, auth.RuleSet{Revision: "good", Rules: []auth.Rule{auth.AllowAuthenticated()}})
	allow := func(r auth.Rule) auth.Rule { r.ID, r.Effect, r.Subjects = "x", auth.Allow, []string{"*"}; return r }
	when := func(c auth.Condition) auth.Rule { return allow(auth.Rule{When: []auth.Condition{c}}) }
	for name, rules := range map[string][]auth.Rule{
		"no id":                {{Effect: auth.Deny}},
		"id twice":             {{ID: "x"}, {ID: "x"}},
		"unknown effect":       {{ID: "x", Effect: 7}},
		"allows nobody":        {{ID: "x", Effect: auth.Allow, Actions: []string{"GET"}}},
		"empty subject":        {{ID: "x", Subjects: []string{""}}},
		"empty role":           {{ID: "x", Roles: []string{""}}},
		"role pattern":         {{ID: "x", Roles: []string{"a*"}}},
		"long pattern":         {{ID: "x", Subjects: []string{strings.Repeat("a", 2000)}}},
		"many stars":           {{ID: "x", Subjects: []string{strings.Repeat("a*", 50)}}},
		"unknown attribute":    {when(auth.Condition{Attribute: "token.shoe", Op: "eq", Value: 1})},
		"unknown other":        {when(auth.Condition{Attribute: "token.subject", Op: "eq", Other: "token.shoe"})},
		"claims of nothing":    {when(auth.Condition{Attribute: "claims.", Op: "eq", Value: 1})},
		"claims alone":         {when(auth.Condition{Attribute: "claims", Op: "eq", Value: 1})},
		"a request's nothing":  {when(auth.Condition{Attribute: "request.", Op: "eq", Value: 1})},
		"other for exists":     {when(auth.Condition{Attribute: "token.subject", Op: "exists", Other: "request.x"})},
		"an empty in":          {when(auth.Condition{Attribute: "token.subject", Op: "in", Value: []any{}})},
		"an empty within":      {when(auth.Condition{Attribute: "request.ip", Op: "within", Value: []any{}})},
		"a number for within":  {when(auth.Condition{Attribute: "request.ip", Op: "within", Value: 1})},
		"attribute of nothing": {when(auth.Condition{Attribute: "subject", Op: "eq", Value: 1})},
		"unknown operator":     {when(auth.Condition{Attribute: "token.subject", Op: "=", Value: 1})},
		"no value":             {when(auth.Condition{Attribute: "token.subject", Op: "eq"})},
		"value and other":      {when(auth.Condition{Attribute: "token.subject", Op: "eq", Value: "x", Other: "request.x"})},
		"list for eq":          {when(auth.Condition{Attribute: "token.subject", Op: "eq", Value: []any{"x"}})},
		"objects for in":       {when(auth.Condition{Attribute: "token.subject", Op: "in", Value: []any{"x", map[string]any{}}})},
		"object for eq":        {when(auth.Condition{Attribute: "token.subject", Op: "eq", Value: map[string]any{}})},
		"a mapped network":     {when(auth.Condition{Attribute: "request.ip", Op: "within", Value: "::ffff:10.0.0.0/104"})},
		"no list for in":       {when(auth.Condition{Attribute: "token.subject", Op: "in", Value: "x"})},
		"value for exists":     {when(auth.Condition{Attribute: "token.subject", Op: "exists", Value: true})},
		"no network":           {when(auth.Condition{Attribute: "request.ip", Op: "within", Value: "10.0.0.1"})},
		"number for prefix":    {when(auth.Condition{Attribute: "request.ip", Op: "prefix", Value: 1})},
	} {
		if err := p.Replace(auth.RuleSet{Revision: "bad", Rules: rules}); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: Replace = %v, want ErrInvalid", name, err)
		}
		if p.Revision() != "good" || decide(t, p, &auth.Token{Subject: "u"}, auth.Request{}).Effect != auth.Allow {
			t.Fatalf("%s: the old rules did not stay", name)
		}
	}
}

func TestReplaceWhileDeciding(t *testing.T) {
	// In either set exactly one of the two may; a mixture would let both or none.
	set := func(who, revision string) auth.RuleSet {
		return auth.RuleSet{Revision: revision, Rules: []auth.Rule{{ID: "x", Effect: auth.Allow, Subjects: []string{who}}}}
	}
	p := policies(t, set("a", "1"))
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				ds := p.DecideAll(t.Context(), &auth.Token{Subject: "a"}, make([]auth.Request, 10))
				for _, d := range ds {
					if d != ds[0] || (d.Effect == auth.Allow) != (d.Revision == "1") {
						t.Errorf("%+v beside %+v", d, ds[0])
						return
					}
				}
			}
		})
	}
	for i := range 500 {
		if err := p.Replace(set([]string{"b", "a"}[i%2], []string{"2", "1"}[i%2])); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

func TestRulesAsJSON(t *testing.T) {
	var s auth.RuleSet
	in := `{"revision":"7","rules":[{"id":"a","effect":"allow","roles":["x"],"when":[{"attribute":"claims.n","op":"in","value":[1,"two"]}]}],"members":{"u":["x"]}}`
	if err := json.Unmarshal([]byte(in), &s); err != nil {
		t.Fatal(err)
	}
	p := policies(t, s)
	if d := decide(t, p, &auth.Token{Subject: "u", Claims: map[string]any{"n": int64(1)}}, auth.Request{}); d.Effect != auth.Allow || d.Revision != "7" {
		t.Errorf("%+v", d)
	}
	out, err := json.Marshal(s)
	if err != nil || string(out) != in {
		t.Errorf("written again: %s, %v", out, err)
	}
	for _, bad := range []string{`"Allow"`, `""`, `"permit"`, `1`, `true`} {
		if err := json.Unmarshal([]byte(`{"rules":[{"id":"a","effect":`+bad+`}]}`), &s); err == nil {
			t.Errorf("effect %s was accepted", bad)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"rules":[{"id":"a","effect":"allow","subjects":["a*b**c"],"resources":["/x/*"],"when":[{"attribute":"claims.n.m","op":"in","value":[1,"two"]}]}]}`), "abc", "/x/y")
	f.Add([]byte(`{"rules":[{"id":"a","effect":"deny","actions":["*"]}],"includes":{"a":["b"],"b":["a"]}}`), "abc", "/x/y")
	f.Fuzz(func(t *testing.T, b []byte, subject, resource string) {
		var s auth.RuleSet
		if json.Unmarshal(b, &s) != nil {
			return
		}
		p, err := auth.NewPolicies(s)
		if err != nil {
			if !errors.Is(err, auth.ErrInvalid) {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		token := &auth.Token{Subject: subject, Roles: []string{"a"}, Claims: map[string]any{"n": map[string]any{"m": "two"}}}
		e := p.Explain(t.Context(), token, auth.Request{Action: subject, Resource: resource})
		for _, o := range e.Rules {
			if o.Applies && o.Effect == auth.Deny && e.Effect == auth.Allow {
				t.Fatalf("%q allows %q on %q although %s denies", b, subject, resource, o.Rule)
			}
		}
	})
}

// thousand is a rule set like a role-based one with a thousand roles.
func thousand() auth.RuleSet {
	var s auth.RuleSet
	s.Members = map[string][]string{}
	for i := range 1000 {
		s.Rules = append(s.Rules, auth.Rule{ID: fmt.Sprint(i), Effect: auth.Allow, Roles: []string{fmt.Sprint("role", i)}, Resources: []string{fmt.Sprint("/data/", i)}, Actions: []string{"read"}})
		s.Members[fmt.Sprint("user", i)] = []string{fmt.Sprint("role", i)}
	}
	return s
}

func TestDecidingDoesNotAllocate(t *testing.T) {
	p := policies(t, thousand())
	token := &auth.Token{Subject: "user500", Claims: map[string]any{"n": int64(1)}}
	for _, r := range []auth.Request{{Action: "read", Resource: "/data/500"}, {Action: "read", Resource: "/data/501"}} {
		if n := testing.AllocsPerRun(100, func() { p.Decide(t.Context(), token, r) }); n > 0 && !raceEnabled {
			t.Errorf("%v allocations", n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := policies(b, thousand())
	token := &auth.Token{Subject: "user500"}
	for name, r := range map[string]auth.Request{"allow": {Action: "read", Resource: "/data/500"}, "deny": {Action: "read", Resource: "/data/501"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(b.Context(), token, r)
			}
		})
	}
}

// What a caller does with its rules afterwards changes no policy.
func TestAPolicyKeepsNothingOfItsCaller(t *testing.T) {
	roles, scopes, actions := []string{"reader"}, []string{"orders"}, []any{"GET"}
	p := policies(t, auth.RuleSet{Rules: []auth.Rule{{
		ID: "r", Effect: auth.Allow, Roles: roles, Scopes: scopes,
		When: []auth.Condition{{Attribute: "request.action", Op: "in", Value: actions}},
	}}})
	for name, change := range map[string]func(){
		"roles": func() { roles[0] = "x" }, "scopes": func() { scopes[0] = "x" }, "values": func() { actions[0] = "x" },
	} {
		change()
		token := &auth.Token{Subject: "alice", Roles: []string{"reader"}, Scopes: []string{"orders"}}
		if d := decide(t, p, token, auth.Request{Action: "GET"}); d.Effect != auth.Allow {
			t.Errorf("after a change of its %s: %+v", name, d)
		}
	}
}
