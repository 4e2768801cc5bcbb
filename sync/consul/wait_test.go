package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// keysIn is an answer to a look: "key session value index", the key below "k/".
func keysIn(all ...string) string {
	var out []string
	for _, p := range all {
		f := strings.Fields(p)
		session := strings.TrimPrefix(f[1], "-")
		out = append(out, fmt.Sprintf(`{"Key":"k/%s","Session":"%s","Value":"%s","CreateIndex":%s,"ModifyIndex":%[4]s}`, f[0], session, f[2], f[3]))
	}
	return "200 [" + strings.Join(out, ",") + "]"
}

const you = "MSB5b3U=" // "1 you"

// A claim that waits takes the lock when what is before it is gone, rides out what its
// session survives, and ends when its place is lost.
func TestAnswersToAWait(t *testing.T) {
	before, own := "queue/m s0 "+one+" 5", "queue/n s1 "+one+" 7"
	m2, l2, n2 := "queue/m s0 "+two+" 4", "queue/l s2 "+two+" 5", "queue/n s1 "+two+" 7"
	behind := pairs("n "+one+" 7", "n "+one+" 7", "m "+one+" 5")
	behindTwo := pairs("n "+two+" 7", "n "+two+" 7", "m "+two+" 4", "l "+two+" 5")
	holder, gone := pairs("holder "+one+" 9"), "404 "
	for what, c := range map[string]struct {
		limit int
		read  []string
		txn   []string
		token uint64
		err   error
		sent  string // behind the place in the queue
	}{
		"its turn comes":          {1, []string{keysIn(before, own), keysIn(before), gone, keysIn(own)}, []string{behind, holder}, 9, nil, "kv kv kv kv txn1"},
		"at once":                 {1, []string{keysIn(own)}, []string{behind, holder}, 9, nil, "kv txn1"},
		"one before it is left":   {1, []string{keysIn(before, own), gone, keysIn("queue/l s3 "+one+" 6", own), gone, keysIn(own)}, []string{behind, holder}, 9, nil, "kv kv kv kv kv txn1"},
		"a permit":                {2, []string{keysIn(m2, l2, n2), keysIn(m2, l2, n2), keysIn(l2, n2), keysIn(l2, n2)}, []string{behindTwo}, 7, nil, "kv kv kv kv"},
		"another one waits too":   {2, []string{keysIn(m2, l2, n2), keysIn(m2, l2, n2), keysIn(m2, l2, n2, "queue/z s9 "+two+" 8"), keysIn(m2, n2), keysIn(m2, n2)}, []string{behindTwo}, 7, nil, "kv kv kv kv kv"},
		"the place is gone":       {1, []string{keysIn(before)}, []string{behind}, 0, fault.Lost, "kv"},
		"the place is another's":  {1, []string{keysIn("queue/n s9 " + one + " 7")}, []string{behind}, 0, fault.Lost, "kv"},
		"no rights":               {1, []string{denied}, []string{behind}, 0, fault.Denied, "kv"},
		"no rights to wait":       {1, []string{keysIn(before, own), denied}, []string{behind}, 0, fault.Denied, "kv kv"},
		"an outage":               {1, []string{leader, leader, keysIn(own)}, []string{behind, holder}, 9, nil, "kv kv kv txn1"},
		"an outage while blocked": {1, []string{keysIn(before, own), leader, keysIn(own)}, []string{behind, holder}, 9, nil, "kv kv kv txn1"},
		"an outage of the key":    {1, []string{keysIn(own), leader, keysIn(own)}, []string{behind, refused("lock is held"), holder}, 9, nil, "kv txn1 kv kv txn1"},
		"no leader for the key":   {1, []string{keysIn(own)}, []string{behind, leader, holder}, 9, nil, "kv txn1 kv txn1"},
		"a key that is kept":      {1, []string{keysIn(own), keysIn("holder s0 " + one + " 3"), keysIn("holder - " + one + " 3"), keysIn(own)}, []string{behind, refused("lock is held"), holder}, 9, nil, "kv txn1 kv kv kv txn1"},
		"a key that is deleted":   {1, []string{keysIn(own), gone, keysIn(own)}, []string{behind, refused("lock is held"), holder}, 9, nil, "kv txn1 kv kv txn1"},
		"no rights to the key":    {1, []string{keysIn(own), denied, keysIn(own)}, []string{behind, refused("lock is held"), holder}, 0, fault.Denied, "kv txn1 kv"},
		"a later name before it":  {1, []string{keysIn(own, "queue/z s0 "+one+" 5"), keysIn("queue/z s0 " + one + " 5"), gone, keysIn(own)}, []string{behind, holder}, 9, nil, "kv kv kv kv txn1"},
		"the session is over":     {1, []string{keysIn(own)}, []string{behind, refused("invalid session")}, 0, fault.Lost, "kv txn1"},
	} {
		a := &agent{create: []string{created}, destroy: []string{yes}, txn: c.txn, read: c.read}
		d := a.driver(t)
		r := asked
		r.Limit, r.TTL = c.limit, time.Minute // a slow machine has to renew nothing
		g, err := d.Claim(r).Acquire(t.Context(), true)
		if g.Token != c.token || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v, want %d, %v", what, g, err, c.token, c.err)
		}
		if sent := a.requests(); sent != "create txn2 "+c.sent {
			t.Errorf("%s: sent %s, want create txn2 %s", what, sent, c.sent)
		}
		blocks := map[string]string{ // on the one before, or on all
			"its turn comes": "k/queue/ k/queue/m k/queue/m k/queue/", "a permit": "k/queue/ k/queue/ k/queue/ k/queue/",
			"a key that is kept": "k/queue/ k/holder k/holder k/queue/",
		}
		if want := blocks[what]; want != "" && strings.Join(a.keys, " ") != want {
			t.Errorf("%s: read %q, want %s", what, a.keys, want)
		}
	}
}

// Who is first and refused, as Consul's lock delay does without a word, tries more and
// more seldom.
func TestALockThatIsDelayed(t *testing.T) {
	own := keysIn("queue/n s1 " + one + " 7")
	a := &agent{create: []string{created}, read: []string{own}, txn: []string{pairs("n "+one+" 7", "n "+one+" 7", "m "+one+" 5")}}
	const times = 8
	for range times {
		a.read = append(a.read, "404 ", own)
		a.txn = append(a.txn, refused("lock-delay"))
	}
	a.txn = append(a.txn, pairs("holder "+one+" 9"))
	r := asked
	r.TTL = time.Minute
	start := time.Now()
	g, err := a.driver(t).Claim(r).Acquire(t.Context(), true)
	if took := time.Since(start); err != nil || g.Token != 9 || took < times*2*time.Millisecond {
		t.Errorf("%+v, %v after %v, want at least 2 ms between tries", g, err, took)
	}
}

// A wait ends with the session, also when nothing else shows it.
func TestAWaitWhoseSessionEnds(t *testing.T) {
	a := &agent{read: []string{leader, keysIn("queue/n s1 " + one + " 7")}, renew: []string{"404 "}, txn: []string{pairs("holder " + one + " 9")}}
	d := a.driver(t)
	r := asked
	r.TTL = time.Minute
	cl := d.Claim(r).(*claim)
	cl.session = &session{d: d, id: "s1", ttl: r.TTL, sent: time.Now().Add(-30 * time.Second)}
	g, err := cl.wait(t.Context())
	if sent := a.requests(); !errors.Is(err, fault.Lost) || g.Token > 0 || sent != "kv renew" {
		t.Errorf("%+v, %v after %s, want lost after kv renew", g, err, sent)
	}
}

func TestWhatOptionsTake(t *testing.T) {
	for d, want := range map[time.Duration]bool{-1: false, 0: true, 15 * time.Second: true, time.Minute: true, time.Minute + 1: false} {
		o := options{}
		if err := WithLockDelay(d)(&o); (err == nil) != want || want && o.lockDelay != d {
			t.Errorf("a lock delay of %v: %v", d, err)
		}
	}
	for d, want := range map[time.Duration]bool{-1: false, 0: false, 1: true} {
		o := options{}
		if err := WithMinTTL(d)(&o); (err == nil) != want || want && o.minTTL != d {
			t.Errorf("a minimum TTL of %v: %v", d, err)
		}
	}
}

// The end of the caller's context ends a wait with its error, whatever it waits for.
func TestAWaitThatIsGivenUp(t *testing.T) {
	behind := pairs("n "+one+" 7", "n "+one+" 7", "m "+one+" 5")
	look := keysIn("queue/m s0 "+one+" 5", "queue/n s1 "+one+" 7")
	for what, c := range map[string]struct {
		read []string
		at   string
	}{
		"blocked":                 {[]string{look}, "create txn2 kv kv"},
		"after an outage":         {[]string{look, leader}, "create txn2 kv kv"},
		"when it looks for the 1": {[]string{look}, "create txn2 kv"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		a := &agent{create: []string{created}, destroy: []string{yes}, txn: []string{behind}, read: c.read}
		a.on = func(sent string) {
			if sent == c.at {
				cancel()
			}
		}
		r := asked
		r.TTL = time.Minute
		_, err := a.driver(t).Claim(r).Acquire(ctx, true)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", what, err, context.Canceled)
		}
	}
}

// A block ends with its share of the TTL, though nothing changes.
func TestABlockEndsToRenew(t *testing.T) {
	a := &agent{read: []string{keysIn("queue/m s0 " + one + " 5")}}
	d := a.driver(t)
	r := asked
	r.TTL = 300 * time.Millisecond
	c := d.Claim(r).(*claim)
	c.session = &session{d: d, id: "s1", ttl: r.TTL, sent: time.Now()}
	start := time.Now()
	err := c.block(t.Context(), "k/queue/m")
	if took := time.Since(start); err != nil || took < 50*time.Millisecond {
		t.Errorf("block: %v after %v, want it to last for a third of the TTL", err, took)
	}
}

// A waiter renews its session in time, and gives up what must have ended.
func TestAWaiterRenewsItsSession(t *testing.T) {
	renewed, over := `200 [{"ID":"s1"}]`, "404 "
	for what, c := range map[string]struct {
		age   time.Duration
		renew string
		sent  string
		err   error
	}{
		"young":                  {0, renewed, "", nil},
		"a third of its life":    {21 * time.Second, renewed, "renew", nil},
		"gone":                   {21 * time.Second, over, "renew", fault.Lost},
		"an outage":              {21 * time.Second, leader, "renew", nil},
		"an outage that is long": {61 * time.Second, leader, "renew", fault.Lost},
		"over, but renewed":      {61 * time.Second, renewed, "renew", nil},
	} {
		a := &agent{renew: []string{c.renew}}
		d := a.driver(t)
		r := asked
		r.TTL = time.Minute
		cl := d.Claim(r).(*claim)
		cl.session = &session{d: d, id: "s1", ttl: r.TTL, sent: time.Now().Add(-c.age)}
		if err := cl.refresh(t.Context()); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %q, want %q", what, sent, c.sent)
		}
	}
}

// Who takes the lock late has the session renewed first, unless that fails.
func TestATakeWithAnOldSession(t *testing.T) {
	for what, c := range map[string]struct {
		age   time.Duration
		renew string
		sent  string
		left  time.Duration // at least; and at most 20 s more
		err   error
	}{
		"young":       {0, leader, "txn1", 40 * time.Second, nil},
		"not half":    {10 * time.Second, leader, "txn1", 30 * time.Second, nil},
		"old":         {31 * time.Second, `200 [{"ID":"s1"}]`, "txn1 renew", 40 * time.Second, nil},
		"an outage":   {31 * time.Second, leader, "txn1 renew", 10 * time.Second, nil},
		"and is gone": {31 * time.Second, "404 ", "txn1 renew", 0, fault.Lost},
	} {
		a := &agent{renew: []string{c.renew}, txn: []string{pairs("holder " + one + " 9")}}
		d := a.driver(t)
		r := asked
		r.TTL = time.Minute
		cl := d.Claim(r).(*claim)
		cl.session = &session{d: d, id: "s1", ttl: r.TTL, sent: time.Now().Add(-c.age)}
		g, err := cl.take(t.Context())
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || (g.Token == 9) != (err == nil) {
			t.Errorf("%s: %+v, %v, want %v", what, g, err, c.err)
		}
		if left := time.Until(g.Until); err == nil && (left < c.left || left > c.left+20*time.Second) {
			t.Errorf("%s: for %v, want %v", what, left, c.left)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %q, want %q", what, sent, c.sent)
		}
	}
}

// What Consul has of a prefix: who holds, who waits behind, and what is neither.
func TestAnswersToAList(t *testing.T) {
	all := keysIn(
		"a/holder s1 "+one+" 9", "a/queue/x s1 "+one+" 7", "a/queue/y s2 "+you+" 8",
		"b/queue/o s3 "+two+" 12", "b/queue/p s4 "+two+" 10", "b/queue/q s5 "+two+" 11",
		"c/holder - "+one+" 3", "c/queue/z - "+one+" 3",
		"d/queue/r s6 "+one+" 13",
		"e/other s7 "+one+" 14")
	want := []string{"k/a holds 9", "k/a waits for you", "k/b holds 10", "k/b holds 11", "k/b waits", "k/d waits"}
	for what, c := range map[string]struct {
		read string
		most int
		want []string
		err  error
	}{
		"all":            {all, 10, want, nil},
		"the first one":  {all, 1, want[:1], nil},
		"the first four": {all, 4, want[:4], nil},
		"none":           {"404 ", 10, nil, nil},
		"an outage":      {leader, 10, nil, fault.Unavailable},
		"no rights":      {denied, 10, nil, fault.Denied},
	} {
		d := (&agent{read: []string{c.read}}).driver(t)
		var got []string
		err := d.List(t.Context(), "k/", func(key string, h dsync.Hold) bool {
			text := fmt.Sprintf("%s holds %d", key, h.Token)
			if h.Waiting {
				text = key + " waits" + strings.Repeat(", with a token", int(min(h.Token, 1)))
			}
			if h.Owner != "me" {
				text += " for " + h.Owner
			}
			got = append(got, text)
			return len(got) < c.most
		})
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q, %v, want %q, %v", what, got, err, c.want, c.err)
		}
	}
}

// A watch tells who holds, and nobody, until it fails.
func TestAnswersToAWatch(t *testing.T) {
	held := keysIn("holder s1 " + one + " 9")
	for _, last := range []struct {
		say string
		err error
	}{{leader, fault.Unavailable}, {denied, fault.Denied}} {
		d := (&agent{read: []string{held, "404 ", keysIn("holder - " + one + " 9"), last.say}}).driver(t)
		var got []dsync.Candidate
		err := d.Watch(t.Context(), "k", func(c dsync.Candidate) { got = append(got, c) })
		if want := []dsync.Candidate{{Owner: "me", Token: 9}, {}, {}}; !slices.Equal(got, want) || !errors.Is(err, last.err) {
			t.Errorf("saw %+v, %v, want %+v, %v", got, err, want, last.err)
		}
	}
}

func TestAnswersToAPing(t *testing.T) {
	for say, want := range map[string]error{`200 "127.0.0.1:8300"`: nil, sorry: fault.Unavailable, leader: fault.Unavailable, denied: fault.Denied} {
		err := (&agent{status: []string{say}}).driver(t).Ping(t.Context())
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", say, err, want)
		}
	}
}
