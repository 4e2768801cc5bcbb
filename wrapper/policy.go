package wrapper

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Policy says how the calls that it matches are made, or served, where that
// differs from what New's options say for all. Fields that are zero change
// nothing. Of several policies that match, the most specific decides alone: one
// with a service before one without, then as net/http's ServeMux orders
// patterns. Two that are equally specific are an error.
type Policy struct {
	// Inbound makes it one of calls that come in. Else it is of calls that go out.
	Inbound bool `json:"inbound,omitempty"`
	// Service is who is called; "" is everybody.
	Service string `json:"service,omitempty"`
	// Method is that of HTTP; "" is all. Calls of other protocols have POST.
	Method string `json:"method,omitempty"`
	// Route is a pattern of paths as ServeMux has them, without method and host:
	// "/users/{id}", "/users/" and all below it, gRPC's "/shop.Orders/Get" or
	// "/shop.Orders/". "" is all.
	Route string `json:"route,omitempty"`

	// Timeout is WithClientTimeout, or WithServerTimeout of an inbound policy.
	Timeout time.Duration `json:"timeout,omitempty"`
	// AttemptTimeout is WithAttemptTimeout. Not for inbound.
	AttemptTimeout time.Duration `json:"attempt_timeout,omitempty"`
	// Retry replaces WithRetry as a whole. Not for inbound.
	Retry *RetryPolicy `json:"retry,omitempty"`
	// Hedge replaces WithHedge as a whole. Not for inbound.
	Hedge *HedgePolicy `json:"hedge,omitempty"`
	// Limit bounds the calls that the policy matches, all together. It comes
	// beside those of WithLimit.
	Limit *Limit `json:"limit,omitempty"`
}

// Validate returns what is wrong with a policy by itself.
func (p Policy) Validate() error {
	switch {
	case p.Route != "" && p.Route[0] != '/':
		return fmt.Errorf("route %q, want it to begin with /", p.Route)
	case strings.ContainsAny(p.Method, " \t/"):
		return fmt.Errorf("method %q", p.Method)
	case p.Timeout < 0 || p.AttemptTimeout < 0:
		return errors.New("negative timeout")
	case p.Inbound && (p.AttemptTimeout != 0 || p.Retry != nil || p.Hedge != nil):
		return errors.New("attempts, retries and hedges are of calls that go out")
	}
	if p.Retry != nil {
		if err := p.Retry.validate(); err != nil {
			return err
		}
	}
	if p.Hedge != nil {
		if err := p.Hedge.validate(); err != nil {
			return err
		}
	}
	if p.Limit != nil {
		return p.Limit.validate()
	}
	return nil
}

// policies are those in force. They are immutable.
type policies struct {
	list  []Policy
	plans []*plan
	by    [2]map[string]*http.ServeMux // side → service → patterns
}

// matched is a handler that stands for a plan: ServeMux does the matching.
type matched struct{ p *plan }

func (matched) ServeHTTP(http.ResponseWriter, *http.Request) {}

// SetPolicies replaces all policies, at once and for calls that begin from then
// on. Those that stay the same keep their budgets and limits. An error is an
// ErrInvalid, and leaves the old ones in force. It is safe for concurrent use.
func (w *Wrapper) SetPolicies(list ...Policy) error {
	for {
		old := w.policies.Load()
		next, err := w.compile(list, old)
		if err != nil {
			return fault.Wrap("wrapper", "set policies", "", fault.Mark(ErrInvalid, err))
		}
		if w.policies.CompareAndSwap(old, next) {
			return nil
		}
	}
}

// CheckPolicies returns what SetPolicies would, and changes nothing.
func (w *Wrapper) CheckPolicies(list ...Policy) error {
	_, err := w.compile(list, nil)
	return fault.Wrap("wrapper", "check policies", "", fault.Mark(ErrInvalid, err))
}

func (w *Wrapper) compile(list []Policy, old *policies) (*policies, error) {
	if len(list) == 0 {
		return nil, nil
	}
	s := &policies{by: [2]map[string]*http.ServeMux{{}, {}}}
	for i, p := range list {
		err := p.Validate()
		made := old.same(p)
		if err == nil && made == nil {
			made, err = w.planFor(p)
		}
		if err == nil {
			err = s.add(p, made)
		}
		if err != nil {
			return nil, fmt.Errorf("policy %d: %w", i, err)
		}
		s.list, s.plans = append(s.list, p), append(s.plans, made)
	}
	return s, nil
}

// same returns the plan of an equal policy that is in force, or nil.
func (s *policies) same(p Policy) *plan {
	if s == nil {
		return nil
	}
	for i, q := range s.list {
		if reflect.DeepEqual(p, q) {
			return s.plans[i]
		}
	}
	return nil
}

func (p Policy) side() Side {
	if p.Inbound {
		return Server
	}
	return Client
}

// add adds a policy. ServeMux panics at patterns that are wrong or in conflict.
func (s *policies) add(p Policy, made *plan) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	services := s.by[p.side()]
	if services[p.Service] == nil {
		services[p.Service] = http.NewServeMux()
	}
	services[p.Service].Handle(strings.TrimSpace(p.Method+" "+cmp.Or(p.Route, "/")), matched{made})
	return nil
}

// planFor is the plan of a policy: what the options say, but for its fields.
func (w *Wrapper) planFor(p Policy) (*plan, error) {
	of := w.plain[p.side()]
	made := &plan{timeout: of.timeout, attempt: of.attempt, retry: of.retry, hedge: of.hedge, route: p.Route}
	if p.Timeout > 0 {
		made.timeout = p.Timeout
	}
	if p.AttemptTimeout > 0 {
		made.attempt = p.AttemptTimeout
	}
	if p.Retry != nil {
		made.retry = p.Retry.withDefaults()
	}
	if p.Hedge != nil {
		made.hedge = p.Hedge.withDefaults()
	}
	if p.Limit != nil {
		l, err := p.Limit.limiter()
		if err != nil {
			return nil, err
		}
		made.limit, made.wait = l, p.Limit.Wait
	}
	return made, nil
}

// find returns how a call is made.
func (w *Wrapper) find(c *Call) *plan {
	s := w.policies.Load()
	if s == nil || c.Message {
		return w.plain[c.Side]
	}
	method, p := c.Action, c.Resource
	if c.Protocol != "http" {
		method, p = http.MethodPost, c.Method
	}
	r := &http.Request{Method: method, URL: &url.URL{Path: cleaned(p)}}
	for _, service := range [...]string{c.Service, ""} {
		mux := s.by[c.Side][service]
		if mux == nil {
			continue
		}
		if m, ok := match(mux, r); ok {
			if c.Side == Client {
				c.Route = m.p.route
			}
			return m.p
		}
	}
	return w.plain[c.Side]
}

// match is what a mux has for a request. For "/users" it would redirect to
// "/users/" if that is a pattern: what matches the path itself is then a
// pattern of paths further up, which any other last segment finds too.
func match(mux *http.ServeMux, r *http.Request) (matched, bool) {
	h, pattern := mux.Handler(r)
	m, ok := h.(matched)
	if !ok && pattern != "" {
		further := *r
		further.URL = &url.URL{Path: r.URL.Path + "\x00"}
		h, _ = mux.Handler(&further)
		m, ok = h.(matched)
	}
	return m, ok
}

// cleaned is a path as ServeMux wants it: it answers others with a redirect.
func cleaned(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	out := path.Clean(p)
	if p[len(p)-1] == '/' && out != "/" {
		out += "/"
	}
	return out
}
