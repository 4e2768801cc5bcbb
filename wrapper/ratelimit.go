package wrapper

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/structured"
	"github.com/micro/go-platform/router/limits"
)

// The header fields of draft-ietf-httpapi-ratelimit-headers, as http.Header has
// them.
const (
	fieldRateLimit       = "Ratelimit"
	fieldRateLimitPolicy = "Ratelimit-Policy"
)

// standings are where the limiters of a request stood when they decided on it.
type standings struct {
	all   []limits.State
	first [1]limits.State // room for most
	value [1]string       // of the field RateLimit
}

// note keeps where a limiter stands, if it says so. The limits of calls in
// progress don't: they are not the caller's quota.
func (s *standings) note(state limits.State) {
	if state.Window <= 0 && state.Reset <= 0 {
		return
	}
	if s.all == nil {
		s.all = s.first[:0]
	}
	s.all = append(s.all, state)
}

// passed notes where a limiter stands that let the call through.
func (c *Call) passed(ctx context.Context, l limits.Limiter, f *faults) {
	if c.standings != nil {
		defer f.caught(ctx, "a limiter's State")
		c.standings.note(limits.StateOf(ctx, l))
	}
}

// after is how long a caller whose call was refused with err is to wait, and
// whether err says so.
func (s *standings) after(err error) (time.Duration, bool) {
	var limit *limits.Error
	if errors.As(err, &limit) && limit != nil {
		state := limit.State
		state.Reset = max(state.Reset, limit.After)
		s.note(state)
		return state.Reset, true
	}
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		return later.RetryAfter(), true
	}
	return 0, false
}

// tell sets the fields. A handler that has set them itself has the last word.
func (s *standings) tell(h http.Header, policy *policyField) {
	if len(s.all) == 0 || h[fieldRateLimit] != nil || h[fieldRateLimitPolicy] != nil {
		return
	}
	var room, policyRoom [128]byte
	limits, policies := room[:0], policyRoom[:0]
	for i := range s.all {
		state := &s.all[i]
		name := nameAt(s.all, i)
		limits = separate(limits)
		limits = structured.AppendString(limits, name)
		limits = append(limits, ";r="...)
		limits = strconv.AppendInt(limits, max(state.Remaining, 0), 10)
		if state.Reset > 0 {
			limits = append(limits, ";t="...)
			limits = strconv.AppendInt(limits, seconds(state.Reset), 10)
		}
		if state.Limit > 0 {
			policies = separate(policies)
			policies = structured.AppendString(policies, name)
			policies = append(policies, ";q="...)
			policies = strconv.AppendInt(policies, state.Limit, 10)
			if state.Window > 0 {
				policies = append(policies, ";w="...)
				policies = strconv.AppendInt(policies, seconds(state.Window), 10)
			}
		}
	}
	s.value[0] = string(limits)
	h[fieldRateLimit] = s.value[:]
	if len(policies) > 0 {
		h[fieldRateLimitPolicy] = policy.of(policies)
	}
}

func separate(b []byte) []byte {
	if len(b) > 0 {
		return append(b, ", "...)
	}
	return b
}

// seconds rounds up: who comes back then must not be too early.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Second) + 1
}

// nameAt is the name of the policy of all[i], which no other there has.
func nameAt(all []limits.State, i int) string {
	name, same := all[i].Policy, 1
	for _, before := range all[:i] {
		if before.Policy == name {
			same++
		}
	}
	if name == "" {
		name = "default"
	}
	if same > 1 {
		name += "-" + strconv.Itoa(same)
	}
	return name
}

// policyField is the newest value of RateLimit-Policy, which seldom changes.
type policyField struct{ last atomic.Pointer[[1]string] }

func (f *policyField) of(text []byte) []string {
	if last := f.last.Load(); last != nil && last[0] == string(text) {
		return last[:]
	}
	value := &[1]string{string(text)}
	f.last.Store(value)
	return value[:]
}

// limitReset reads RateLimit: how long until a limit of which nothing remains
// has more. What is malformed says nothing.
func limitReset(h http.Header) (wait time.Duration, known bool) {
	lines := h[fieldRateLimit]
	if lines == nil {
		return 0, false
	}
	list, err := structured.ParseList(lines)
	if err != nil {
		return 0, false
	}
	for _, item := range list {
		_, named := item.Value.(string)
		remaining, counted := item.Param("r").(int64)
		reset, timed := item.Param("t").(int64)
		if !named || !counted || remaining < 0 || reset < 0 || !timed && item.Param("t") != nil {
			return 0, false
		}
		if remaining == 0 && timed {
			wait, known = max(wait, time.Duration(min(reset, 1<<31))*time.Second), true
		}
	}
	return wait, known
}
