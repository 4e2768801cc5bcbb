package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	goredis "github.com/redis/go-redis/v9"
)

// turns answers one after the other, the last one again and again.
func turns(all ...any) func() any {
	var n atomic.Int64
	return func() any { return all[min(int(n.Add(1)), len(all))-1] }
}

// silent keeps the hubs from their servers: what is told comes from the test.
func silent(t *testing.T, nodes ...*node) {
	for _, n := range nodes {
		n.hub.pubsub, n.hub.sending = &goredis.PubSub{}, true
		t.Cleanup(func() { n.hub.pubsub = nil })
	}
}

// listeners is how many wait for messages of a node.
func (h *hub) listeners() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.channels)
}

// after calls f in a while, unless the test has ended.
func after(t *testing.T, d time.Duration, f func()) {
	timer := time.AfterFunc(d, f)
	t.Cleanup(func() { timer.Stop() })
}

func holding(left int64) any { return list(int64(0), left, "3 other") }

// Who waits tries again when a release is told, when the subscription is there, or when
// the holder ends; not when a grant is told. It rides out what does not end the claim.
func TestAWaitForOneServer(t *testing.T) {
	const ms = time.Millisecond
	for what, c := range map[string]struct {
		say   []any
		tell  string // after 100 ms
		err   error  // nil: granted
		from  time.Duration
		to    time.Duration // 0: from
		sent  int
		doubt bool
	}{
		"a release is told":             {say: list(holding(5000), "7"), tell: "released", from: 100 * ms, sent: 2},
		"a grant is told":               {say: list(holding(5000), "7"), tell: "granted", from: time.Second, sent: 2},
		"nothing is told":               {say: list(holding(5000), "7"), from: time.Second, sent: 2},
		"the holder ends":               {say: list(holding(300), "7"), from: 300 * ms, sent: 2},
		"and the next one does":         {say: list(holding(300), holding(200), "7"), from: 501 * ms, sent: 3},
		"an outage":                     {say: list(holding(300), errFull, errFull, "7"), from: 400 * ms, to: 450 * ms, sent: 4},
		"an odd answer":                 {say: list(holding(300), list(int64(9)), "7"), from: 350 * ms, sent: 3},
		"another limit":                 {say: list(holding(300), list(int64(3), "4")), err: fault.Conflict, from: 300 * ms, sent: 2},
		"a release that was faster":     {say: list(holding(300), list(int64(2))), err: fault.Lost, from: 300 * ms, sent: 2, doubt: true},
		"no rights":                     {say: list(holding(300), errACL), err: fault.Denied, from: 300 * ms, sent: 2},
		"no answer, and granted":        {say: list(holding(300), errCut, errCut, "7"), from: 350 * ms, sent: 4},
		"no answer, and then no rights": {say: list(holding(300), errCut, errCut, errACL), err: fault.Denied, from: 350 * ms, sent: 4, doubt: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{acquire: turns(c.say...), release: int64(1)}
			d := &driver{s.node(t)}
			silent(t, d.node)
			if c.tell != "" {
				after(t, 100*ms, func() { d.hub.tell(asked.Key, c.tell) })
			}
			start, claim := time.Now(), d.Claim(asked)
			g, err := claim.Acquire(t.Context(), true)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || errors.Is(err, fault.UnknownOutcome) != c.doubt {
				t.Errorf("%s: %v, want %v", what, err, c.err)
			}
			if err == nil && (g.Token != 7 || !g.Until.Equal(time.Now().Add(asked.TTL))) {
				t.Errorf("%s: %+v", what, g)
			}
			if took := time.Since(start); took < c.from || took > max(c.from, c.to) {
				t.Errorf("%s: after %v, want %v to %v", what, took, c.from, max(c.from, c.to))
			}
			if n := len(s.sentTo(acquireLock)); n != c.sent {
				t.Errorf("%s: sent %d times, want %d", what, n, c.sent)
			}
			if n := d.hub.listeners(); n > 0 {
				t.Errorf("%s: %d wait on", what, n)
			}
			_ = claim.Release(t.Context())
			if sent := s.sentTo(releaseLock)[0]; !strings.HasSuffix(sent, " "+flag(c.doubt)+"]") {
				t.Errorf("%s: released with %s, doubt %v", what, sent, c.doubt)
			}
		})
	}
}

// The end of the caller's context ends a wait with its error, and says whether something
// may be left.
func TestAWaitThatIsGivenUp(t *testing.T) {
	for what, c := range map[string]struct {
		say   []any // nil in it ends the context
		after time.Duration
		doubt bool
	}{
		"while it waits":           {list(holding(5000)), 100 * time.Millisecond, false},
		"after an answer was lost": {list(holding(300), errCut, errCut, holding(5000)), 400 * time.Millisecond, true},
		"during a try":             {list(holding(300), nil), time.Hour, false},
	} {
		for _, servers := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				after(t, c.after, cancel)
				var all three
				for i := range all {
					say := turns(c.say...)
					all[i] = &scripted{release: int64(0), acquire: func() any {
						if v := say(); v != nil {
							return v
						}
						cancel()
						return errFull
					}}
				}
				var claim dsync.Claim
				if servers == 1 {
					d := &driver{all[0].node(t)}
					silent(t, d.node)
					claim = d.Claim(asked)
				} else {
					q := all.quorum(t)
					silent(t, q.nodes...)
					claim = q.Claim(asked)
				}
				_, err := claim.Acquire(ctx, true)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s, %d servers: %v, want %v", what, servers, err, context.Canceled)
				}
				if servers == 1 && errors.Is(err, fault.UnknownOutcome) != c.doubt {
					t.Errorf("%s: %v, doubt %v", what, err, c.doubt)
				}
			})
		}
	}
}

// A quorum is tried again when one of its servers tells of a release, when the holder
// ends, and soon after it was split; each try is a claim of its own.
func TestAWaitForAQuorum(t *testing.T) {
	const ms = time.Millisecond
	no := holding(300)
	refused, granted := list(no, no, no), list("5", "5", no)
	for what, c := range map[string]struct {
		rounds  [][]any // what the servers say, one round after the other
		release any
		tell    string // by the second server, after 100 ms
		err     error
		from    time.Duration
		to      time.Duration
	}{
		"a release is told":      {rounds: [][]any{refused, granted}, tell: "released", from: 100 * ms},
		"a grant is told":        {rounds: [][]any{refused, granted}, tell: "granted", from: 300 * ms},
		"the holder ends":        {rounds: [][]any{refused, granted}, from: 300 * ms},
		"the first one to end":   {rounds: [][]any{{no, holding(200), holding(200)}, granted}, from: 200 * ms},
		"a long time":            {rounds: [][]any{{holding(5000), holding(5000), holding(5000)}, granted}, from: time.Second},
		"and another one":        {rounds: [][]any{refused, refused, granted}, from: 305 * ms},
		"that ends at once":      {rounds: [][]any{refused, {no, holding(2), holding(2)}, granted}, from: 303 * ms},
		"again and again":        {rounds: [][]any{refused, refused, refused, granted}, from: 310 * ms, to: 315 * ms},
		"an outage":              {rounds: [][]any{refused, {errFull, errFull, no}, granted}, from: 305 * ms},
		"another limit":          {rounds: [][]any{refused, {list(int64(3), "4"), list(int64(3), "4"), no}}, err: fault.Conflict, from: 300 * ms},
		"no rights":              {rounds: [][]any{refused, {errACL, errACL, no}}, err: fault.Denied, from: 300 * ms},
		"a try that is not over": {rounds: [][]any{refused, {"5", no, no}}, release: errCut, err: fault.Lost, from: 300 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			var servers three
			for i := range servers {
				var own []any
				for _, round := range c.rounds {
					own = append(own, round[i])
				}
				servers[i] = &scripted{acquire: turns(own...), agree: int64(1), release: int64(1)}
				if c.release != nil {
					servers[i].release = turns(int64(1), c.release) // the first try is taken back
				}
			}
			q := servers.quorum(t)
			silent(t, q.nodes...)
			if c.tell != "" {
				after(t, 100*ms, func() { q.nodes[1].hub.tell(asked.Key, c.tell) })
			}
			start := time.Now()
			g, err := q.Claim(asked).Acquire(t.Context(), true)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %v, want %v", what, err, c.err)
			}
			if err == nil && (g.Token != 5 || !g.Until.Equal(time.Now().Add(asked.TTL))) {
				t.Errorf("%s: %+v", what, g)
			}
			if took := time.Since(start); took < c.from || took > max(c.from, c.to) {
				t.Errorf("%s: after %v, want %v to %v", what, took, c.from, max(c.from, c.to))
			}
			q.running.Wait()
			for i, sent := range servers[0].sentTo(acquireLock) {
				if !strings.HasPrefix(sent, fmt.Sprintf("[n.%d ", i)) {
					t.Errorf("%s: try %d sent %s", what, i, sent)
				}
			}
			for i, n := range q.nodes {
				if n.hub.listeners() > 0 {
					t.Errorf("%s: somebody still waits for server %d", what, i)
				}
			}
		})
	}
}

// A server that grants when the others have agreed on a token hears of that one, unless
// it gave the same.
func TestALateServerTakesTheTokenOver(t *testing.T) {
	for what, c := range map[string]struct {
		say  any
		sent []string // tokens to agree on
	}{
		"another token":  {"9", []string{"5", "5"}},
		"the same token": {"5", []string{"5"}},
		"a refusal":      {holding(50), []string{"5"}},
		"no answer":      {errFull, []string{"5"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			late := make(chan struct{})
			servers := says(func(s *scripted, say any) { s.acquire, s.agree = say, int64(1) }, "5", "4", func() any { <-late; return c.say })
			q := servers.quorum(t)
			ctx, cancel := context.WithCancel(t.Context())
			g, err := q.Claim(asked).Acquire(ctx, false)
			if err != nil || g.Token != 5 {
				t.Errorf("%s: %+v, %v", what, g, err)
			}
			cancel() // the caller has what it asked for
			synctest.Wait()
			close(late)
			q.running.Wait()
			if servers[2].cut > 0 {
				t.Errorf("%s: a request ended with its caller's context", what)
			}
			var sent []string
			for _, args := range servers[2].sentTo(agree) {
				sent = append(sent, strings.Fields(args)[2])
			}
			if !slices.Equal(sent, c.sent) {
				t.Errorf("%s: agreed on %v, want %v", what, sent, c.sent)
			}
		})
	}
}

// A server that is slow holds up no refusal by the others, unless one of them denies:
// whether most do, all have to say. A release waits for all, but for nobody whose caller
// is gone.
func TestWhoWaitsForASlowServer(t *testing.T) {
	no := holding(300)
	for what, c := range map[string]struct {
		say  []any
		err  error
		took time.Duration
	}{
		"refused": {list(no, no, no), fault.Held, 0},
		"denied":  {list(errACL, errACL, no), fault.Denied, time.Second},
		"granted": {list("5", "5", "5"), nil, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			servers := says(func(s *scripted, say any) { s.acquire, s.agree, s.release = say, int64(1), int64(1) }, c.say...)
			slow := func(say any) any { return func() any { time.Sleep(time.Second); return say } }
			servers[2].acquire, servers[2].agree, servers[2].renew = slow(c.say[2]), slow(int64(1)), slow(int64(1))
			servers[0].renew, servers[1].renew = int64(1), int64(1)
			start := time.Now()
			q := servers.quorum(t)
			claim := q.Claim(asked)
			_, err := claim.Acquire(t.Context(), false)
			if took := time.Since(start); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || took != c.took {
				t.Errorf("%s: %v after %v, want %v after %v", what, err, took, c.err, c.took)
			}
			if err != nil {
				return
			}
			start = time.Now()
			if _, err := claim.Renew(t.Context()); err != nil || time.Since(start) > 0 {
				t.Errorf("renewed after %v: %v", time.Since(start), err)
			}
			q.running.Wait()
			servers[2].release = slow(int64(1))
			for _, ended := range []bool{false, true} {
				ctx, cancel := context.WithCancel(t.Context())
				if ended {
					cancel()
				}
				start := time.Now()
				err := claim.Release(ctx)
				if took := time.Since(start); (took > 0) == ended || errors.Is(err, fault.UnknownOutcome) != ended || (err != nil) != ended {
					t.Errorf("released after %v, caller gone: %v, %v", took, ended, err)
				}
				cancel()
			}
		})
	}
}

// The caller's context ends a request until it is detached, and its deadline stays.
func TestDetachedRequestsGoOn(t *testing.T) {
	for _, detached := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		run, detach := detachable(ctx)
		want, _ := ctx.Deadline()
		if got, ok := run.Deadline(); !ok || !got.Equal(want) {
			t.Errorf("deadline %v, want %v", got, want)
		}
		if detached && !detach() {
			t.Error("detached too late")
		}
		cancel()
		select {
		case <-run.Done():
			if detached {
				t.Error("a detached request ended")
			}
		case <-time.After(map[bool]time.Duration{false: 30 * time.Second}[detached]):
			if !detached {
				t.Error("the request goes on without its caller")
			}
		}
	}
	run, detach := detachable(context.Background())
	if run.Done() != nil || detach() {
		t.Error("a context that never ends was given an end")
	}
	if _, ok := run.Deadline(); ok {
		t.Error("a context without a deadline has one")
	}
	endless, stop := context.WithCancel(context.Background())
	defer stop()
	if run, _ := detachable(endless); run.Done() == nil {
		t.Error("a context that ends was taken for one that does not")
	} else if _, ok := run.Deadline(); ok {
		t.Error("a context without a deadline has one")
	}
}

// A watch looks when something is told, when the holder ends, and else every 10 s.
func TestWhenAWatchLooks(t *testing.T) {
	held, free := list("7 me", int64(300)), list("0 ", int64(0))
	for _, servers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			var all three
			for i := range all {
				all[i] = &scripted{holder: turns(held, free, list("7 me", int64(60_000)), free, held)}
			}
			var d dsync.Driver
			q := all.quorum(t)
			silent(t, q.nodes...)
			d = q
			if servers == 1 {
				d = &driver{q.nodes[0]}
			}
			ctx, cancel := context.WithCancel(t.Context())
			start, seen := time.Now(), ""
			after(t, 25*time.Second, func() { q.nodes[0].hub.tell(asked.Key, "released") })
			err := d.Watch(ctx, asked.Key, func(c dsync.Candidate) {
				seen += fmt.Sprintf("%s %v, ", c.Owner, time.Since(start))
				if strings.Count(seen, ",") == 5 {
					cancel()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%d servers: %v", servers, err)
			}
			if want := "me 0s,  301ms, me 10.301s,  20.301s, me 25s, "; seen != want {
				t.Errorf("%d servers: saw %s, want %s", servers, seen, want)
			}
			if n := q.nodes[0].hub.listeners(); n > 0 {
				t.Errorf("%d servers: %d listen on", servers, n)
			}
		})
	}
}

// A server that does not answer a look is unavailable, unless the watch itself was ended.
func TestAWatchWithoutAnAnswer(t *testing.T) {
	for limit, want := range map[time.Duration]error{time.Hour: fault.Unavailable, time.Second: context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{holder: func() any { time.Sleep(6 * time.Second); return errCut }}
			d := &driver{s.node(t)}
			silent(t, d.node)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := d.Watch(ctx, asked.Key, func(c dsync.Candidate) { t.Errorf("reported %+v", c) })
			if !errors.Is(err, want) || errors.Is(err, fault.Unavailable) != (want == fault.Unavailable) {
				t.Errorf("within %v: %v, want %v", limit, err, want)
			}
		})
	}
}

// More than half of a quorum have to give a sign of life.
func TestSignsOfLife(t *testing.T) {
	for _, c := range []struct {
		say       []error
		one, most error // of the first server, and of all
	}{
		{[]error{nil, nil, nil}, nil, nil},
		{[]error{nil, errCut, nil}, nil, nil},
		{[]error{errFull, nil, nil}, fault.Unavailable, nil},
		{[]error{nil, errCut, errCut}, nil, fault.Unavailable},
		{[]error{errACL, errACL, nil}, fault.Denied, fault.Denied},
	} {
		var servers three
		for i := range servers {
			servers[i] = &scripted{other: func(goredis.Cmder) error { return c.say[i] }}
		}
		q := servers.quorum(t)
		one := &driver{q.nodes[0]}
		for want, err := range map[error]error{c.one: one.Ping(t.Context())} {
			if !errors.Is(err, want) {
				t.Errorf("%v: %v, want %v", c.say, err, want)
			}
		}
		if err := q.Ping(t.Context()); !errors.Is(err, c.most) {
			t.Errorf("%v: a quorum says %v, want %v", c.say, err, c.most)
		}
	}
}

// Advice is that of the first server that evicts.
func TestAdviceNamesAServer(t *testing.T) {
	info := func(policy string) func(goredis.Cmder) error {
		return func(cmd goredis.Cmder) error {
			cmd.(*goredis.StringCmd).SetVal("# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:" + policy + "\r\n")
			return nil
		}
	}
	for _, c := range []struct {
		policies  []string
		one, most string // policies that are named
	}{
		{[]string{"noeviction", "noeviction", "noeviction"}, "", ""},
		{[]string{"noeviction", "allkeys-lru", "volatile-lru"}, "", "allkeys-lru"},
		{[]string{"allkeys-lru", "noeviction", "noeviction"}, "allkeys-lru", "allkeys-lru"},
	} {
		var servers three
		for i := range servers {
			servers[i] = &scripted{other: info(c.policies[i])}
		}
		q := servers.quorum(t)
		one := &driver{q.nodes[0]}
		for want, got := range map[string]string{"one " + c.one: one.Advice(t.Context()), "most " + c.most: q.Advice(t.Context())} {
			_, policy, _ := strings.Cut(want, " ")
			if (got == "") != (policy == "") || !strings.Contains(got, policy) {
				t.Errorf("%v: %q, want %s", c.policies, got, want)
			}
		}
	}
}

// A look that enough have answered goes on at a slow server, whose connection it would
// cost.
func TestALateLookIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		servers := says(func(s *scripted, say any) { s.holder = say }, list("7 me", int64(300)), list("7 me", int64(300)), func() any { <-late; return errFull })
		q := servers.quorum(t)
		ctx, cancel := context.WithCancel(t.Context())
		got, err := q.Holder(ctx, asked.Key)
		if err != nil || got.Owner != "me" {
			t.Errorf("%+v, %v", got, err)
		}
		cancel()
		synctest.Wait()
		close(late)
		q.running.Wait()
		if servers[2].cut > 0 {
			t.Error("it ended with its caller's context")
		}
	})
}

// Requests that come while others are on their way wait for them, as long as their
// callers do; the end of a node waits for all.
func TestRequestsThatQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{renew: func() any { time.Sleep(time.Second); return int64(1) }}
		d := &driver{s.node(t)}
		renew := func(ctx context.Context, want error) {
			_, err := d.Claim(asked).Renew(ctx)
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("Renew = %v, want %v", err, want)
			}
		}
		for range 2 { // which have a lane each
			go renew(t.Context(), nil)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		renew(ctx, context.Canceled)
		start := time.Now()
		if err := d.Close(); err != nil || time.Since(start) != time.Second {
			t.Errorf("Close: %v after %v, want it to wait for what is on its way", err, time.Since(start))
		}
		synctest.Wait()
	})
}

// List reads page after page, each key once, until nobody wants more.
func TestListReadsPages(t *testing.T) {
	lock := func(token string) map[string]string {
		return map[string]string{"h": "n", "o": "me", "t": token, "u": "2000"}
	}
	hashes := map[string]map[string]string{"a": lock("1"), "b": lock("2"), "c": {"pa": "2000 3", "pb": "2000 4"}}
	pages := map[string][]string{"0": {"a", "b"}, "7": nil, "8": {"b", "c"}}
	next := map[string]uint64{"0": 7, "7": 8, "8": 0}
	for what, c := range map[string]struct {
		most    int
		refused string // the page, or "read" of what is in it
		want    int
		err     error
	}{
		"all":                        {10, "", 4, nil},
		"the first one":              {1, "", 1, nil},
		"the first two":              {2, "", 2, nil},
		"the first of two permits":   {3, "", 3, nil},
		"a page that is refused":     {10, "8", 2, fault.Unavailable},
		"the first page":             {10, "0", 0, fault.Unavailable},
		"what is in it, if refused":  {10, "read", 0, fault.Unavailable},
		"what comes after who stops": {2, "8", 2, nil},
	} {
		clocks := 0
		s := &scripted{other: func(cmd goredis.Cmder) error {
			switch cmd := cmd.(type) {
			case *goredis.ScanCmd:
				cursor := fmt.Sprint(cmd.Args()[1])
				if cursor == c.refused {
					return errFull
				}
				cmd.SetVal(pages[cursor], next[cursor])
			case *goredis.TimeCmd:
				clocks++
				cmd.SetVal(time.UnixMilli(1000))
			case *goredis.MapStringStringCmd:
				if c.refused == "read" {
					return errFull
				}
				cmd.SetVal(hashes[cmd.Args()[1].(string)])
			default:
				return errCut
			}
			return nil
		}}
		d := &driver{s.node(t)}
		seen := map[string]int{}
		n := 0
		err := d.List(t.Context(), "", func(key string, h dsync.Hold) bool {
			n++
			seen[key]++
			if left := time.Until(h.Until); left > time.Second || left < -30*time.Second {
				t.Errorf("%s: %s until %v", what, key, h.Until)
			}
			return n < c.most
		})
		if n != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, %v, want %d and %v", what, seen, err, c.want, c.err)
		}
		if c.want == 4 && clocks != 2 {
			t.Errorf("%s: %d pages were read, want those with keys", what, clocks)
		}
		if c.want == 4 && (seen["a"] != 1 || seen["b"] != 1 || seen["c"] != 2) {
			t.Errorf("%s: %v", what, seen)
		}
	}
}

// What can't be closed is said, also of one server of several.
func TestCloseSaysWhatItCannot(t *testing.T) {
	for _, closed := range []bool{false, true} {
		q := three{{}, {}, {}}.quorum(t)
		own := newNode(mustOpen(t))
		q.nodes[1].close()
		q.nodes[1] = own
		if closed {
			_ = own.conn.UniversalClient.Close()
		}
		if err := q.Close(); (err != nil) != closed {
			t.Errorf("closed before: %v, Close = %v", closed, err)
		}
		one := &driver{newNode(mustOpen(t))}
		if closed {
			_ = one.conn.UniversalClient.Close()
		}
		if err := one.Close(); (err != nil) != closed {
			t.Errorf("closed before: %v, Close of one server = %v", closed, err)
		}
	}
}

// A client that has no primaries to go through lists nothing.
func TestListOfAClientOfAnotherKind(t *testing.T) {
	ring := goredis.NewRing(&goredis.RingOptions{})
	defer ring.Close()
	c, err := redisconn.Open(redisconn.Config{Client: ring})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{newNode(c)}
	defer d.Close()
	if err := d.List(t.Context(), "", func(string, dsync.Hold) bool { return true }); !errors.Is(err, fault.Unsupported) {
		t.Errorf("List = %v, want unsupported", err)
	}
}

func mustOpen(t *testing.T) *redisconn.Client {
	c, err := redisconn.Open(redisconn.Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
