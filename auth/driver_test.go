package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
)

// fake is a driver whose every answer a test decides.
type fake struct {
	verify func(ctx context.Context, c auth.Credential) (*auth.Token, error)
	obtain func(ctx context.Context, r auth.TokenRequest) (*auth.Token, error)
	asked  atomic.Int64
	given  atomic.Int64
	closed atomic.Int64
}

func (f *fake) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	f.asked.Add(1)
	return f.verify(ctx, c)
}

func (f *fake) Obtain(ctx context.Context, r auth.TokenRequest) (*auth.Token, error) {
	f.given.Add(1)
	return f.obtain(ctx, r)
}

func (f *fake) Close() error { f.closed.Add(1); return nil }

func (f *fake) open(t *testing.T, opts ...auth.Option) auth.Auth {
	t.Helper()
	a, err := auth.New(append([]auth.Option{
		auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return f, nil }), auth.WithAnyAudience(),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestVerdictIsCachedAndItsExpiryIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", AccessToken: c.Value, ExpiresAt: time.Now().Add(time.Minute)}, nil
		}}
		expires := time.Now().Add(time.Minute)
		f.verify = func(context.Context, auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", ExpiresAt: expires}, nil
		}
		a := f.open(t, auth.WithCacheTTL(time.Hour), auth.WithLeeway(0))
		for range 10 {
			if _, err := a.Verify(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
		time.Sleep(time.Minute)
		if token, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrExpired) || token != nil {
			t.Errorf("Verify of a cached, expired token = %v, %v, want ErrExpired", token, err)
		}
		a.Close()
	})
}

func TestVerdictIsAskedAnewAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := false
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) {
			if revoked {
				return nil, auth.ErrRevoked
			}
			return &auth.Token{Subject: "a"}, nil
		}}
		a := f.open(t)
		a.Verify(t.Context(), "x")
		revoked = true
		if _, err := a.Verify(t.Context(), "x"); err != nil {
			t.Errorf("within the cache's time: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("after it: %v, want ErrRevoked", err)
		}
		a.Close()
	})
}

func TestCacheTTL(t *testing.T) {
	for _, c := range []struct {
		opts  []auth.Option
		after time.Duration
		asked int64
	}{
		{nil, 30*time.Second - 1, 1}, {nil, 30 * time.Second, 2},
		{[]auth.Option{auth.WithCacheTTL(10 * time.Second)}, 10*time.Second - 1, 1},
		{[]auth.Option{auth.WithCacheTTL(10 * time.Second)}, 10 * time.Second, 2},
		{[]auth.Option{auth.WithCacheTTL(time.Hour)}, time.Hour - 1, 1},
		{[]auth.Option{auth.WithCacheTTL(0)}, 0, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return &auth.Token{Subject: "a"}, nil }}
			a := f.open(t, c.opts...)
			a.Verify(t.Context(), "x")
			time.Sleep(c.after)
			a.Verify(t.Context(), "x")
			if n := f.asked.Load(); n != c.asked {
				t.Errorf("asked %d times within %s, want %d", n, c.after, c.asked)
			}
			a.Close()
		})
	}
}

func TestRefusalsAreCachedShortlyAndFailuresNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := error(auth.ErrUnauthenticated)
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return nil, answer }}
		a := f.open(t)
		for range 100 {
			a.Verify(t.Context(), "bad")
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("a refused token was asked about %d times, want 1", n)
		}
		for i := range 5000 { // more than are kept: bounded, and the first is asked again
			a.Verify(t.Context(), fmt.Sprint("bad", i))
		}
		time.Sleep(6 * time.Second)
		answer = auth.ErrUnavailable
		before := f.asked.Load()
		for range 3 {
			if _, err := a.Verify(t.Context(), "bad"); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("Verify = %v, want ErrUnavailable", err)
			}
		}
		if n := f.asked.Load() - before; n != 3 {
			t.Errorf("asked %d times while unavailable, want 3: a failure must not be remembered", n)
		}
		a.Close()
	})
}

// A clock of your own is that of everything.
func TestVerdictsAgeByTheGivenClock(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return &auth.Token{Subject: "a"}, nil }}
	a := f.open(t, auth.WithClock(func() time.Time { return now }))
	for _, step := range []struct {
		after time.Duration
		asked int64
	}{{0, 1}, {30*time.Second - 1, 1}, {1, 2}} {
		now = now.Add(step.after)
		if _, err := a.Verify(t.Context(), "x"); err != nil || f.asked.Load() != step.asked {
			t.Errorf("%s later: asked %d times, %v, want %d", step.after, f.asked.Load(), err, step.asked)
		}
	}
}

// A denial names its rule, if there is one.
func TestDenialsNameTheirRule(t *testing.T) {
	f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return &auth.Token{Subject: "a"}, nil }}
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Value: "x"})
	for _, c := range []struct {
		opts []auth.Option
		want string
	}{
		{[]auth.Option{auth.WithRules(auth.AllowAuthenticated(), auth.Rule{ID: "never", Effect: auth.Deny})}, "a rule denies it (rule never)"},
		{[]auth.Option{auth.WithRules(auth.Rule{ID: "bob", Effect: auth.Allow, Subjects: []string{"bob"}})}, "no rule allows it"},
		{[]auth.Option{auth.WithDecider(policies(t, auth.RuleSet{}))}, "no rules"},
		{nil, "no rules"},
	} {
		if _, err := f.open(t, c.opts...).Authorized(ctx, auth.Request{}); !errors.Is(err, auth.ErrDenied) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestARefusalIsAskedAgainAfterItsTime(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		asked int64
	}{{5*time.Second - 1, 1}, {5 * time.Second, 2}, {5*time.Second + 1, 2}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return nil, auth.ErrUnauthenticated }}
			a := f.open(t)
			a.Verify(t.Context(), "bad")
			time.Sleep(c.after)
			a.Verify(t.Context(), "bad")
			if n := f.asked.Load(); n != c.asked {
				t.Errorf("asked %d times within %s, want %d", n, c.after, c.asked)
			}
			a.Close()
		})
	}
}

func TestDriversMistakesLetNobodyIn(t *testing.T) {
	for name, c := range map[string]struct {
		token *auth.Token
		err   error
		want  error
	}{
		"neither token nor error": {nil, nil, auth.ErrUnavailable},
		"about nobody":            {&auth.Token{}, nil, auth.ErrUnauthenticated},
		"token and error":         {&auth.Token{Subject: "a"}, errors.New("boom"), nil},
		"of the future":           {&auth.Token{Subject: "a", IssuedAt: time.Now().Add(time.Hour)}, nil, auth.ErrUnauthenticated},
		"not yet":                 {&auth.Token{Subject: "a", NotBefore: time.Now().Add(time.Hour)}, nil, auth.ErrUnauthenticated},
	} {
		f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return c.token, c.err }}
		a := f.open(t, auth.WithRules(auth.AllowAuthenticated()))
		token, err := a.Verify(t.Context(), "x")
		if err == nil || token != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: Verify = %v, %v, want %v", name, token, err, c.want)
		}
		if status, _ := auth.Challenge(err); status == 200 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func TestPolicyThatFailsDenies(t *testing.T) {
	f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return &auth.Token{Subject: "a"}, nil }}
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Value: "x"})
	for name, c := range map[string]struct {
		decide auth.DeciderFunc
		want   error
	}{
		"panic": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) { panic("boom") }, auth.ErrDenied},
		"error beside allow": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
			return auth.Decision{Effect: auth.Allow}, errors.New("boom")
		}, auth.ErrDenied},
		"engine is unavailable": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
			return auth.Decision{}, auth.ErrUnavailable
		}, auth.ErrUnavailable},
		"zero decision": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) { return auth.Decision{}, nil }, auth.ErrDenied},
		"unknown effect": {func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
			return auth.Decision{Effect: 7}, nil
		}, auth.ErrDenied},
	} {
		_, err := f.open(t, auth.WithDecider(c.decide)).Authorized(ctx, auth.Request{Service: "s", Action: "a"})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSlowAuthorityIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{verify: func(ctx context.Context, _ auth.Credential) (*auth.Token, error) { <-ctx.Done(); return nil, ctx.Err() }}
		a := f.open(t, auth.WithTimeout(2*time.Second))
		began := time.Now()
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != 2*time.Second {
			t.Errorf("Verify = %v after %s, want ErrUnavailable after 2s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Verify(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("Verify with a deadline of its own = %v, want that", err)
		}
		a.Close()
	})
}

func TestCloseWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, ended := make(chan struct{}), false
		f := &fake{obtain: func(ctx context.Context, _ auth.TokenRequest) (*auth.Token, error) {
			close(began)
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return nil, ctx.Err()
		}}
		a := f.open(t)
		go a.Token(t.Context())
		<-began
		a.Close()
		if !ended || f.closed.Load() != 1 {
			t.Errorf("ended %t, driver closed %d times; want Close to wait", ended, f.closed.Load())
		}
	})
}

func TestBadOptionsAreErrors(t *testing.T) {
	driver := auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return &fake{}, nil })
	for name, opts := range map[string][]auth.Option{
		"nil":                     {nil},
		"two backends":            {driver, driver, auth.WithAnyAudience()},
		"no audience":             {driver},
		"any and some":            {driver, auth.WithAnyAudience(), auth.WithAudience("a")},
		"empty audience":          {auth.WithAudience("")},
		"empty service":           {auth.WithService("")},
		"rules twice":             {auth.WithRules(), auth.WithRules()},
		"a bad rule":              {auth.WithRules(auth.Rule{ID: "x", Effect: auth.Allow})},
		"nil policies":            {auth.WithDecider((*auth.Policies)(nil))},
		"nil decider":             {auth.WithDecider(nil)},
		"nil feed":                {auth.WithRevocations(nil)},
		"nil logger":              {auth.WithLogger(nil)},
		"nil local":               {auth.Local(nil)},
		"negative timeout":        {auth.WithTimeout(-1)},
		"zero dial timeout":       {auth.WithDialTimeout(0)},
		"negative TTL":            {auth.WithCacheTTL(-1)},
		"leeway of an hour":       {auth.WithLeeway(time.Hour)},
		"a driver without a name": {auth.WithDriver("", func(context.Context) (auth.Driver, error) { return nil, nil })},
	} {
		a, err := auth.New(opts...)
		if !errors.Is(err, auth.ErrInvalid) || a != nil || !strings.HasPrefix(err.Error(), "auth: new") {
			t.Errorf("%s: New = %v, %v, want ErrInvalid", name, a, err)
		}
	}
}

// pinging is a fake whose authority can be asked.
type pinging struct {
	fake
	ping func(context.Context) error
}

func (p *pinging) Ping(ctx context.Context) error { return p.ping(ctx) }

func TestNewAsksTheAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pinging{ping: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		driver := auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return p, nil })
		began := time.Now()
		_, err := auth.New(driver, auth.WithAnyAudience(), auth.WithDialTimeout(2*time.Second))
		if !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != 2*time.Second || p.closed.Load() != 1 {
			t.Errorf("New = %v after %s, driver closed %d times; want ErrUnavailable after 2s and 1", err, time.Since(began), p.closed.Load())
		}
		a, err := auth.New(driver, auth.WithAnyAudience(), auth.WithLazy())
		if err != nil {
			t.Fatalf("New with WithLazy: %v", err)
		}
		a.Close()
	})
}

func TestCachedPathsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, err := auth.New(auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	token, err := a.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw := string(token.AccessToken)
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Scheme: "Bearer", Value: token.AccessToken})
	for name, f := range map[string]func(){
		"Token":      func() { a.Token(t.Context()) },
		"Verify":     func() { a.Verify(t.Context(), raw) },
		"Authorized": func() { a.Authorized(ctx, auth.Request{Service: "s", Action: "GET", Resource: "/x"}) },
	} {
		f()
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
