package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	goredis "github.com/redis/go-redis/v9"
)

// scripted answers the scripts of a server that is not there: a value, an
// error, or what a function returns, for each script. It notes their arguments.
type scripted struct {
	acquire, agree, renew, release, holder any

	other func(cmd goredis.Cmder) error // answers what is no script; nil: errCut

	mu   gosync.Mutex
	sent map[any][]string // by script: the arguments behind the key
	cut  int              // requests whose context ended before the answer
}

// refusal is what a server says.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

var (
	errCut  = errors.New("cut off") // nobody knows what the server did
	errFull = refusal("OOM command not allowed")
	errACL  = refusal("NOPERM no rights")
)

func (s *scripted) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (s *scripted) ProcessPipelineHook(goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		var first error
		for _, cmd := range cmds {
			first = cmp.Or(first, s.answer(cmd))
		}
		return first
	}
}

func (s *scripted) ProcessHook(goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := ctx.Err()
		if err != nil {
			cmd.SetErr(err)
			return err
		}
		err = s.answer(cmd)
		if ctx.Err() != nil {
			s.mu.Lock()
			s.cut++
			s.mu.Unlock()
		}
		return err
	}
}

func (s *scripted) answer(cmd goredis.Cmder) error {
	c, ok := cmd.(once)
	if !ok {
		err := errCut
		if s.other != nil {
			err = s.other(cmd)
		}
		cmd.SetErr(err)
		return err
	}
	hash := cmd.Args()[1]
	s.mu.Lock()
	if s.sent == nil {
		s.sent = map[any][]string{}
	}
	s.sent[hash] = append(s.sent[hash], fmt.Sprint(cmd.Args()[4:]))
	s.mu.Unlock()
	var say any
	switch hash {
	case acquireLock.hash, acquirePermit.hash:
		say = s.acquire
	case agree.hash:
		say = s.agree
	case renewLock.hash, renewPermit.hash:
		say = s.renew
	case releaseLock.hash, releasePermit.hash:
		say = s.release
	case whoHolds.hash:
		say = s.holder
	}
	if f, ok := say.(func() any); ok {
		say = f()
	}
	if err, ok := say.(error); ok {
		c.SetErr(err)
		return err
	}
	c.SetVal(say)
	return nil
}

// sentTo returns what a script was sent with.
func (s *scripted) sentTo(sc *script) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent[sc.hash])
}

func (s *scripted) node(t *testing.T) *node {
	t.Helper()
	e, err := engine.Open("127.0.0.1:1", engine.WithHook(s))
	if err != nil {
		t.Fatal(err)
	}
	client, err := e.Conn()
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(client)
	t.Cleanup(func() { n.close(); e.Close() })
	return n
}

// list is a reply of several parts.
func list(parts ...any) []any { return parts }

var asked = dsync.Request{Key: "sync/x/lock/a", Owner: "me", Nonce: "n", TTL: time.Minute, Limit: 1, Timeout: time.Second}

func TestAnswersOfOneServer(t *testing.T) {
	held := func(err error) bool {
		return errors.Is(err, fault.Held) && strings.Contains(err.Error(), `"me", token 7`)
	}
	unnamed := func(err error) bool { return errors.Is(err, fault.Held) && !strings.Contains(err.Error(), "token") }
	odd := func(err error) bool { return err != nil && fault.KindOf(err) == nil }
	is := func(kind error) func(error) bool { return func(err error) bool { return errors.Is(err, kind) } }
	for _, c := range []struct {
		say  any
		want func(error) bool // nil: granted with token 7
	}{
		{"7", nil},
		{"seven", odd},
		{list(int64(0), int64(5), "7 me"), held},
		{list(int64(0), int64(5), ""), unnamed},
		{list(int64(0), int64(5)), odd},
		{list(int64(2)), is(fault.Lost)},
		{list(int64(3), "4"), is(fault.Conflict)},
		{list(int64(3)), odd},
		{list(int64(4)), odd},
		{list(), odd},
		{int64(7), odd},
		{nil, odd},
		{errFull, is(fault.Unavailable)},
		{errACL, is(fault.Denied)},
		{errCut, is(fault.UnknownOutcome)},
	} {
		s := &scripted{acquire: c.say}
		d := &driver{s.node(t)}
		g, err := d.Claim(asked).Acquire(t.Context(), false)
		if c.want == nil && (err != nil || g.Token != 7) || c.want != nil && (!c.want(err) || g != dsync.Grant{}) {
			t.Errorf("%v: %+v, %v", c.say, g, err)
		}
		// A semaphore's holders are not the lock's.
		more := asked
		more.Limit = 2
		_, _ = d.Claim(more).Acquire(t.Context(), false)
		if len(s.sentTo(acquirePermit)) == 0 || strings.HasSuffix(s.sentTo(acquirePermit)[0], " me 0]") {
			t.Errorf("%v: permits: %v", c.say, s.sentTo(acquirePermit))
		}
	}
}

func TestTheHolderThatOneServerNames(t *testing.T) {
	for _, c := range []struct {
		say  any
		want dsync.Candidate
		err  func(error) bool // nil: none
	}{
		{list("7 me", int64(5)), dsync.Candidate{Owner: "me", Token: 7}, nil},
		{list("0 ", int64(0)), dsync.Candidate{}, func(err error) bool { return errors.Is(err, dsync.ErrNoLeader) }},
		{list("7 me"), dsync.Candidate{}, func(err error) bool { return err != nil && fault.KindOf(err) == nil }},
		{"7 me", dsync.Candidate{}, func(err error) bool { return err != nil && fault.KindOf(err) == nil }},
		// It reads: that nobody knows what was done is no matter.
		{errCut, dsync.Candidate{}, func(err error) bool {
			return errors.Is(err, fault.Unavailable) && !errors.Is(err, fault.UnknownOutcome)
		}},
		{errACL, dsync.Candidate{}, func(err error) bool { return errors.Is(err, fault.Denied) }},
	} {
		d := &driver{(&scripted{holder: c.say}).node(t)}
		got, err := d.Holder(t.Context(), asked.Key)
		if got != c.want || c.err == nil && err != nil || c.err != nil && !c.err(err) {
			t.Errorf("%v: %+v, %v", c.say, got, err)
		}
		if c.err != nil && !errors.Is(err, dsync.ErrNoLeader) {
			if err := d.Watch(t.Context(), asked.Key, func(c dsync.Candidate) { t.Errorf("reported %+v", c) }); !c.err(err) {
				t.Errorf("%v: Watch = %v", c.say, err)
			}
		}
	}
}

// A claim of which nobody knows whether it was granted leaves a tombstone when
// it is released, and does not say that it was lost.
func TestAReleaseAfterNoAnswer(t *testing.T) {
	for _, c := range []struct {
		acquire, release any
		dig              string
		want             error
	}{
		{"7", int64(1), "0", nil},
		{"7", int64(0), "0", dsync.ErrLost},
		{"7", errACL, "0", fault.Denied},
		{"7", errCut, "0", fault.UnknownOutcome},
		{errCut, int64(0), "1", nil},
		{errCut, errACL, "1", fault.Denied},
		{errFull, int64(0), "0", dsync.ErrLost}, // certainly not granted
		{errACL, int64(0), "0", dsync.ErrLost},
	} {
		s := &scripted{acquire: c.acquire, release: c.release}
		claim := (&driver{s.node(t)}).Claim(asked)
		_, _ = claim.Acquire(t.Context(), false)
		err := claim.Release(t.Context())
		if !errors.Is(err, c.want) {
			t.Errorf("%v, %v: %v, want %v", c.acquire, c.release, err, c.want)
		}
		if sent := s.sentTo(releaseLock); !strings.HasSuffix(sent[0], " "+c.dig+"]") {
			t.Errorf("%v, %v: released with %v, want %s", c.acquire, c.release, sent, c.dig)
		}
	}
}

// A script whose answer is lost runs once more, unless nobody waits: then a
// release that finds nothing was this one's.
func TestAScriptIsRepeatedOnce(t *testing.T) {
	for _, c := range []struct {
		say   []any
		ended bool
		sent  int
		want  error
	}{
		{list(errCut, int64(0)), false, 2, nil},
		{list(errCut, errCut, int64(1)), false, 2, fault.UnknownOutcome},
		{list(errFull, int64(1)), false, 1, fault.Unavailable},
		{list(errCut, int64(1)), true, 1, context.Canceled},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &scripted{}
		s.release = func() any {
			if c.ended {
				cancel()
			}
			return c.say[len(s.sentTo(releaseLock))-1]
		}
		claim := (&driver{s.node(t)}).Claim(asked)
		if err := claim.Release(ctx); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.say, err, c.want)
		}
		if n := len(s.sentTo(releaseLock)); n != c.sent {
			t.Errorf("%v: sent %d times, want %d", c.say, n, c.sent)
		}
	}
}

// A permit is not renewed and released as a lock is.
func TestPermitsHaveScriptsOfTheirOwn(t *testing.T) {
	for _, limit := range []int{1, 2} {
		s := &scripted{renew: int64(1), release: int64(1)}
		r := asked
		r.Limit = limit
		claim := (&driver{s.node(t)}).Claim(r)
		if _, err := claim.Renew(t.Context()); err != nil {
			t.Error(err)
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Error(err)
		}
		locks, permits := len(s.sentTo(renewLock))+len(s.sentTo(releaseLock)), len(s.sentTo(renewPermit))+len(s.sentTo(releasePermit))
		if want := 2 * (limit - 1); permits != want || locks != 2-want {
			t.Errorf("limit %d: %d scripts of locks, %d of permits", limit, locks, permits)
		}
	}
}

func TestWhatOneServerRenews(t *testing.T) {
	for say, want := range map[any]error{int64(1): nil, int64(0): fault.Lost, errFull: fault.Unavailable, errCut: fault.UnknownOutcome} {
		claim := (&driver{(&scripted{renew: say}).node(t)}).Claim(asked)
		before := time.Now()
		until, err := claim.Renew(t.Context())
		if !errors.Is(err, want) || (want == nil) != until.After(before) {
			t.Errorf("%v: %v, %v, want %v", say, until, err, want)
		}
	}
}

// three are the servers of a quorum.
type three [3]*scripted

// says makes three servers that answer one script.
func says(set func(s *scripted, say any), say ...any) (servers three) {
	for i := range servers {
		servers[i] = &scripted{}
		set(servers[i], say[i])
	}
	return servers
}

func (servers three) quorum(t *testing.T) *quorum {
	q := &quorum{need: 2}
	for _, s := range servers {
		q.nodes = append(q.nodes, s.node(t))
	}
	t.Cleanup(q.running.Wait)
	return q
}

// What a majority says counts: one vote below it, at it, and above it.
func TestAQuorumGrants(t *testing.T) {
	no := list(int64(0), int64(50), "3 other")
	for _, c := range []struct {
		what    string
		acquire []any
		agree   []any
		release []any
		token   uint64 // 0: not granted
		want    error
	}{
		{"none", list(no, no, no), nil, list(int64(1), int64(1), int64(1)), 0, fault.Held},
		{"one", list("5", no, no), nil, list(int64(1), int64(1), int64(1)), 0, fault.Held},
		{"one of three that answer, and two that don't", list(no, errFull, errFull), nil, list(int64(0), int64(0), int64(0)), 0, fault.Unavailable},
		{"one, and it stays", list("5", no, no), nil, list(errCut, errCut, int64(0)), 0, fault.UnknownOutcome},
		{"one, and one does not say", list("5", no, no), nil, list(errCut, int64(1), int64(0)), 0, fault.Held},
		{"another limit", list(list(int64(3), "4"), list(int64(3), "4"), list(int64(3), "4")), nil, list(int64(0), int64(0), int64(0)), 0, fault.Conflict},
		{"no rights", list(errACL, errACL, no), nil, list(int64(0), int64(0), int64(0)), 0, fault.Denied},
		{"no rights at one", list(errACL, errFull, no), nil, list(int64(0), int64(0), int64(0)), 0, fault.Unavailable},
		{"two", list("5", "9", no), list(int64(1), int64(1), int64(0)), nil, 9, nil},
		{"two, and they agree no more", list("5", "9", no), list(int64(1), int64(0), int64(0)), list(int64(1), int64(1), int64(0)), 0, fault.Unavailable},
		{"three", list("5", "5", "5"), list(int64(1), int64(1), int64(1)), nil, 5, nil},
	} {
		var servers three
		for i := range servers {
			servers[i] = &scripted{acquire: c.acquire[i]}
			if c.agree != nil {
				servers[i].agree = c.agree[i]
			}
			if c.release != nil {
				servers[i].release = c.release[i]
			}
		}
		q := servers.quorum(t)
		g, err := q.Claim(asked).Acquire(t.Context(), false)
		if g.Token != c.token || !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %+v, %v, want %d, %v", c.what, g, err, c.token, c.want)
		}
		if c.want == fault.Denied && !strings.Contains(err.Error(), string(errACL)) {
			t.Errorf("%s: %v, want what the servers say", c.what, err)
		}
		if c.want == fault.Held && !strings.Contains(err.Error(), `"other", token 3`) {
			t.Errorf("%s: %v, want who holds it", c.what, err)
		}
		q.running.Wait()
		for i, s := range servers {
			if n := len(s.sentTo(releaseLock)); (n > 0) != (c.release != nil) {
				t.Errorf("%s: server %d was sent %d releases", c.what, i, n)
			}
		}
		if c.token > 0 && !strings.HasSuffix(servers[0].sentTo(agree)[0], fmt.Sprintf(" %d 0]", c.token)) {
			t.Errorf("%s: agreed on %v", c.what, servers[0].sentTo(agree))
		}
	}
}

// Where several are likely to try, the first server decides whether the others
// are asked; one that does not answer decides nothing.
func TestACrowdAsksTheFirstServerFirst(t *testing.T) {
	no := list(int64(0), int64(50), "")
	for _, c := range []struct {
		what  string
		first any
		crowd bool
		asked bool
	}{{"refuses", no, true, false}, {"refuses, and no crowd", no, false, true}, {"grants", "5", true, true}, {"is unavailable", errFull, true, true}} {
		synctest.Test(t, func(t *testing.T) { // in which the door is never too early
			servers := says(func(s *scripted, say any) { s.acquire, s.agree, s.release = say, int64(1), int64(1) }, c.first, "5", "5")
			q := servers.quorum(t)
			a, err := q.Claim(asked).(*ballot).try(t.Context(), c.crowd)
			if err != nil || a.granted != c.asked {
				t.Errorf("%s: %+v, %v", c.what, a, err)
			}
			q.running.Wait()
			if got := len(servers[1].sentTo(acquireLock)) > 0; got != c.asked {
				t.Errorf("%s: asked the second: %v, want %v", c.what, got, c.asked)
			}
			if crowded := q.crowded(); crowded != !c.asked {
				t.Errorf("%s: crowded: %v", c.what, crowded)
			}
		})
	}
}

func TestAQuorumRenewsAndReleases(t *testing.T) {
	one, none := int64(1), int64(0)
	for _, c := range []struct {
		say             []any
		renews, release error
	}{
		{list(one, one, one), nil, nil},
		{list(one, one, none), nil, nil},
		{list(one, one, errCut), nil, nil},
		{list(one, none, none), fault.Lost, dsync.ErrLost},
		{list(one, none, errCut), fault.Unavailable, nil},
		{list(none, none, errCut), fault.Lost, dsync.ErrLost},
		{list(one, errCut, errCut), fault.Unavailable, fault.UnknownOutcome},
		{list(errACL, errACL, one), fault.Denied, fault.Denied},
	} {
		servers := says(func(s *scripted, say any) { s.acquire, s.agree, s.renew, s.release = "5", one, say, say }, c.say...)
		q := servers.quorum(t)
		claim := q.Claim(asked)
		if err := claim.Release(t.Context()); err != nil || len(servers[0].sentTo(releaseLock)) > 0 {
			t.Errorf("release before the first try = %v", err)
		}
		if _, err := claim.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		q.running.Wait()
		before := time.Now()
		until, err := claim.Renew(t.Context())
		if !errors.Is(err, c.renews) || (c.renews == nil) != until.After(before) {
			t.Errorf("%v: Renew = %v, %v, want %v", c.say, until, err, c.renews)
		}
		if err := claim.Release(t.Context()); !errors.Is(err, c.release) {
			t.Errorf("%v: Release = %v, want %v", c.say, err, c.release)
		}
	}
}

// Only where a request to acquire may still arrive is a tombstone dug.
func TestAQuorumDigsWhereNobodyKnows(t *testing.T) {
	servers := says(func(s *scripted, say any) { s.acquire, s.agree, s.release = say, int64(1), int64(1) }, errCut, "5", "5")
	q := servers.quorum(t)
	claim := q.Claim(asked)
	if _, err := claim.Acquire(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	q.running.Wait()
	if err := claim.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, dig := range []string{"1", "0", "0"} {
		if sent := servers[i].sentTo(releaseLock); len(sent) == 0 || !strings.HasSuffix(sent[0], " "+dig+"]") {
			t.Errorf("server %d was sent %v, want %s", i, sent, dig)
		}
	}
}

func TestTheHolderThatAQuorumNames(t *testing.T) {
	x, y, z := list("7 x", int64(50)), list("8 y", int64(50)), list("9 z", int64(50))
	free := list("0 ", int64(0))
	for _, c := range []struct {
		say  []any
		want string
		err  error
	}{
		{list(x, x, y), "x", nil},
		{list(y, x, x), "x", nil},
		{list(x, errCut, x), "x", nil},
		{list(x, y, z), "", dsync.ErrNoLeader},
		{list(x, y, errCut), "", dsync.ErrNoLeader},
		{list(free, free, x), "", dsync.ErrNoLeader},
		{list(x, errCut, errCut), "", fault.Unavailable},
		{list(x, errACL, errACL), "", fault.Denied},
	} {
		q := says(func(s *scripted, say any) { s.holder = say }, c.say...).quorum(t)
		got, err := q.Holder(t.Context(), asked.Key)
		if got.Owner != c.want || !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
			t.Errorf("%v: %+v, %v, want %s, %v", c.say, got, err, c.want, c.err)
		}
		if err != nil && !errors.Is(err, dsync.ErrNoLeader) {
			if err := q.Watch(t.Context(), asked.Key, func(c dsync.Candidate) { t.Errorf("reported %+v", c) }); !errors.Is(err, c.err) {
				t.Errorf("%v: Watch = %v, want %v", c.say, err, c.err)
			}
		}
	}
}

// A channel that nobody listens to any more is forgotten.
func TestTheHubForgets(t *testing.T) {
	n := (&scripted{}).node(t)
	one, two, other := n.hub.join("a"), n.hub.join("a"), n.hub.join("b")
	counts := func() string {
		n.hub.mu.Lock()
		defer n.hub.mu.Unlock()
		return fmt.Sprint(len(n.hub.channels), len(n.hub.channels["a"]))
	}
	for i, leave := range []func(){func() {}, one.leave, two.leave, other.leave} {
		leave()
		if want := []string{"2 2", "2 1", "1 0", "0 0"}[i]; counts() != want {
			t.Errorf("after %d leaves: %s, want %s", i, counts(), want)
		}
	}
	n.hub.close()
	if late := n.hub.join("a"); counts() != "0 0" {
		late.leave()
		t.Error("joined after Close")
	}
}

// A grant must not hide a release: who waits would sleep on.
func TestAGrantReplacesNoRelease(t *testing.T) {
	for _, c := range [][3]string{{"granted", "released", "released"}, {"released", "granted", "released"}, {"released", "", ""}, {"granted", "granted", "granted"}} {
		s := &subscriber{messages: make(chan string, 1)}
		replace(s.messages, c[0])
		replace(s.messages, c[1])
		if got := <-s.messages; got != c[2] {
			t.Errorf("%q then %q: %q, want %q", c[0], c[1], got, c[2])
		}
		synctest.Test(t, func(t *testing.T) { // nor on the way through a quorum
			servers := three{&scripted{}, &scripted{}, &scripted{}}
			q := servers.quorum(t)
			silent(t, q.nodes...)
			messages, leave := q.listen("k")
			defer leave()
			for i, m := range c[:2] {
				q.nodes[i].hub.tell("k", m)
				synctest.Wait()
			}
			if got := <-messages; got != c[2] {
				t.Errorf("a quorum, %q then %q: %q, want %q", c[0], c[1], got, c[2])
			}
		})
	}
}

func TestABoundIsTheEarlierDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		ctx   context.Context
		bound time.Duration
		want  time.Duration
	}{{t.Context(), time.Minute, time.Minute}, {ctx, time.Minute, time.Minute}, {ctx, 2 * time.Hour, time.Hour}} {
		d, ok := bound(c.ctx, c.bound).Deadline()
		if off := time.Until(d) - c.want; !ok || off > 0 || off < -30*time.Second {
			t.Errorf("bound of %v: %v, want %v", c.bound, time.Until(d), c.want)
		}
	}
}

// What a hash holds: one that is over, or that somebody else made, is no lock.
func TestHoldsOfAHash(t *testing.T) {
	now := time.UnixMilli(1000)
	for _, c := range []struct {
		fields map[string]string
		want   int
	}{
		{map[string]string{"h": "n", "o": "me", "t": "7", "u": "1001"}, 1},
		{map[string]string{"h": "n", "o": "me", "t": "7", "u": "1000"}, 0},
		{map[string]string{"h": "n", "o": "me", "t": "7", "u": "soon"}, 0},
		{map[string]string{"h": "", "o": "me", "t": "7", "u": "1001"}, 0},
		{map[string]string{"t": "7"}, 0},
		{map[string]string{"pa": "1001 7", "pb": "1002 8", "pc": "999 9", "l": "3", "xa": "1001 7", "pd": "1001"}, 2},
	} {
		all := holdsOf(c.fields, now)
		if len(all) != c.want {
			t.Errorf("%v: %+v, want %d", c.fields, all, c.want)
		}
		for _, h := range all {
			if h.Token == 0 || (c.fields["h"] != "") != (h.Owner == "me") {
				t.Errorf("%v: %+v", c.fields, h)
			}
		}
	}
}
