package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/internal/scheduletest"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

func TestBadConfigurationIsAnErrorOfNew(t *testing.T) {
	for name, opt := range map[string]event.Option{
		"empty": redis.Backend(""), "scheme": redis.Backend("http://u:s3cret@h"), "port": redis.Backend("redis://u:s3cret@h:x"), "nil client": redis.On(engine.FromClient(nil)),
		"nil engine": redis.On(nil),
	} {
		_, err := event.New(opt)
		if !errors.Is(err, event.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
	}
	_, err := event.New(redis.Backend("127.0.0.1:1"), event.WithDialTimeout(time.Second))
	if !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: got %v, want ErrUnavailable that names the address", err)
	}
}

// patient are options for a machine that is busy with other things.
func patient(opts ...event.Option) []event.Option {
	return append([]event.Option{event.WithDialTimeout(time.Minute), event.WithTimeout(time.Minute)}, opts...)
}

func TestLostReplyIsAnUnknownOutcome(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	s, err := event.New(redis.Backend(p.Addr()), event.WithNamespace(servertest.Namespace(t)), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	tries := 0
	for err == nil && tries < 10 { // the lost reply may be another's
		p.CutReplies(1)
		err = s.Publish(t.Context(), &event.Record{ID: "1", Type: "t"})
		tries++
	}
	if !errors.Is(err, event.ErrUnknownOutcome) {
		t.Errorf("got %v, want ErrUnknownOutcome", err)
	}
	p.Heal()
	if err := s.Publish(t.Context(), &event.Record{ID: "2", Type: "t"}); err != nil {
		t.Errorf("after it: %v", err)
	}
	p.Refuse()
	p.Reset()
	if err := s.Publish(t.Context(), &event.Record{ID: "3", Type: "t"}); !errors.Is(err, event.ErrUnavailable) && !errors.Is(err, event.ErrUnknownOutcome) {
		t.Errorf("refused: %v", err)
	}
	if err := s.Publish(t.Context(), &event.Record{ID: "3", Type: "t"}); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("refused again: %v, want ErrUnavailable", err)
	}
	p.Heal()
	n := 0
	for _, err := range s.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != tries+1 {
		t.Errorf("%d records, want the %d up to the lost reply and the one after it", n, tries)
	}
}

// A client of the user's own may repeat what had no answer. A record is not published
// twice by that.
func TestClientThatRetriesPublishesOnce(t *testing.T) {
	leak.Check(t)
	for name, n := range map[string]int{"one": 1, "several": 3} {
		p := netfault.New(t, servertest.SharedRedis(t).Addr())
		client := goredis.NewClient(&goredis.Options{Addr: p.Addr(), MaxRetries: 5})
		s, err := event.New(patient(redis.On(engine.FromClient(client)), event.WithNamespace(servertest.Namespace(t)))...)
		if err != nil {
			t.Fatal(err)
		}
		rs := make([]*event.Record, n)
		for i := range rs {
			rs[i] = &event.Record{ID: fmt.Sprint(i), Type: "t"}
		}
		if err := s.Publish(t.Context(), rs...); err != nil { // which connects
			t.Fatal(err)
		}
		tries := 0
		for err = nil; err == nil && tries < 10; tries++ { // the lost reply may be another's
			p.CutReplies(1)
			err = s.Publish(t.Context(), rs...)
		}
		p.Heal()
		if !errors.Is(err, event.ErrUnknownOutcome) {
			t.Errorf("%s: %v, want ErrUnknownOutcome", name, err)
		}
		if err := s.Publish(t.Context(), &event.Record{ID: "after", Type: "t"}); err != nil {
			t.Errorf("%s: after it: %v", name, err)
		}
		stored := 0
		for _, err := range s.Query(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			stored++
		}
		if want := n*(tries+1) + 1; stored != want {
			t.Errorf("%s: %d records are stored, want %d", name, stored, want)
		}
		s.Close(context.Background())
		client.Close()
	}
}

// What a client of the user's own would repeat is not found the second time, though
// it was there.
func TestClientThatRetriesRemovesOnce(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	client := goredis.NewClient(&goredis.Options{Addr: p.Addr(), MaxRetries: 5})
	defer client.Close()
	removal := &cutRemoval{p: p}
	client.AddHook(removal)
	s, err := event.New(patient(redis.On(engine.FromClient(client)), event.WithNamespace(servertest.Namespace(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for name, c := range map[string]struct{ add, remove func() error }{
		"Cancel": {
			func() error {
				return s.PublishAt(t.Context(), time.Now().Add(time.Hour), &event.Record{ID: "x", Type: "t"})
			},
			func() error { return s.Cancel(t.Context(), "x") },
		},
		"DeleteGroup": {
			func() error {
				sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g"))
				if err != nil {
					return err
				}
				return sub.Close(t.Context())
			},
			func() error { return s.DeleteGroup(t.Context(), "g") },
		},
	} {
		var err error
		for tries := 0; err == nil && tries < 10; tries++ { // the first one brings the script; the lost reply may be another's
			p.Heal()
			if err := c.add(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			removal.armed.Store(tries > 0)
			err = c.remove()
		}
		p.Heal()
		if !errors.Is(err, event.ErrUnknownOutcome) || errors.Is(err, event.ErrNotFound) {
			t.Errorf("%s whose reply was lost: %v, want ErrUnknownOutcome", name, err)
		}
	}
}

// cutRemoval loses the reply of the next command that removes something, not that of
// what is read before.
type cutRemoval struct {
	p     *netfault.Proxy
	armed atomic.Bool
}

func (c *cutRemoval) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (c *cutRemoval) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.look(cmd)
		return next(ctx, cmd)
	}
}

func (c *cutRemoval) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		c.look(cmds...)
		return next(ctx, cmds)
	}
}

func (c *cutRemoval) look(cmds ...goredis.Cmder) {
	removes := func(cmd goredis.Cmder) bool {
		return slices.Contains([]string{"evalsha", "eval", "hdel", "zrem", "del", "xgroup"}, cmd.Name())
	}
	if slices.ContainsFunc(cmds, removes) && c.armed.CompareAndSwap(true, false) {
		c.p.CutReplies(1)
	}
}

// An entry of the schedule that is no record, as of a newer version, holds up no
// others, and is listed and cancelled as they are.
func TestScheduledThatIsNoRecordHoldsUpNoOthers(t *testing.T) {
	leak.Check(t)
	client := goredis.NewClient(&goredis.Options{Addr: servertest.SharedRedis(t).Addr()})
	defer client.Close()
	ns := servertest.Namespace(t)
	s, err := event.New(patient(redis.On(engine.FromClient(client)), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	due, scheduled := "{event:"+ns+"}:due", "{event:"+ns+"}:scheduled"
	if err := client.ZAdd(t.Context(), due, goredis.Z{Score: 1, Member: "odd"}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(t.Context(), scheduled, "odd", "\x00nonsense").Err(); err != nil {
		t.Fatal(err)
	}
	scheduletest.Odd(t, s)
}

func proxied(t *testing.T) (*netfault.Proxy, event.Stream) {
	t.Helper()
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	s, err := event.New(redis.Backend(p.Addr()), event.WithNamespace(servertest.Namespace(t)), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return p, s
}

func TestIdleSubscriptionsCostLittle(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Idle(t, p, s, 24)
}

func TestNothingIsMissedOverABadLink(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Cut(t, p, s)
}

func TestForeignEntryGoesToTheDeadLetters(t *testing.T) {
	leak.Check(t)
	client := goredis.NewClient(&goredis.Options{Addr: servertest.SharedRedis(t).Addr()})
	defer client.Close()
	ns := servertest.Namespace(t)
	s, err := event.New(patient(redis.On(engine.FromClient(client)), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	handled, dead := make(chan string, 10), make(chan *event.Record, 10)
	s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { handled <- r.ID; return nil }, event.Group("g"))
	s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { dead <- r; return nil }, event.Types("dead.g"))
	if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "{event:" + ns + "}", Values: []any{"x", "nonsense"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), &event.Record{ID: "1", Type: "t"}); err != nil {
		t.Fatal(err)
	}
	if id := <-handled; id != "1" {
		t.Errorf("handled %q", id)
	}
	if d := <-dead; !strings.Contains(string(d.Data), "nonsense") || d.Metadata[event.DeadError] == "" {
		t.Errorf("dead letter %+v", d)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the user's client was closed: %v", err)
	}
}

// A test server without persistence forgets everything when it is restarted.
func TestGroupWorksAgainAfterALossOfData(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	s, err := event.New(redis.Backend(server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	handled := make(chan string, 1000)
	if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { handled <- r.ID; return nil }, event.Group("g")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Restart()
	deadline := time.Now().Add(60 * time.Second)
	for s.Publish(t.Context(), &event.Record{ID: "after", Type: "t"}) != nil && time.Now().Before(deadline) {
		<-time.After(20 * time.Millisecond)
	}
	select {
	case id := <-handled:
		if id != "after" {
			t.Errorf("handled %q", id)
		}
	case <-time.After(60 * time.Second):
		t.Error("nothing is handled after the server lost its data")
	}
}

func ExampleBackend() {
	s, err := event.New(redis.Backend("redis://127.0.0.1:6379"), event.WithNamespace("shop"), event.WithLazy()) // does not ask the server yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(context.Background())
	fmt.Println(s.Features().Backend)
	// Output: redis
}

// failOver checks that subscriptions go on when the primary died: everything that
// is published after it is handled.
func failOver(t *testing.T, backend event.Option, die func()) {
	t.Helper()
	s, err := event.New(backend, event.WithDialTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	handled := make(chan string, 10_000)
	for i, opts := range [][]event.SubscribeOption{{event.Group("g")}, {event.Group("o"), event.Ordered(event.BySubject)}, {}} {
		if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
			handled <- fmt.Sprint(i, " ", r.ID)
			return nil
		}, append(opts, event.AckWait(time.Second))...); err != nil {
			t.Fatal(err)
		}
	}
	await := func(id string) {
		t.Helper()
		by := map[string]bool{}
		for deadline := time.After(60 * time.Second); len(by) < 3; {
			select {
			case got := <-handled:
				if strings.HasSuffix(got, " "+id) {
					by[got] = true
				}
			case <-deadline:
				t.Fatalf("%s was handled by %d of 3 subscriptions", id, len(by))
			}
		}
	}
	links.Publish(t, s, "before")
	await("before")
	die()
	links.Publish(t, s, "after")
	await("after")
}

// dies kills a primary when a replica has what it has: one that was never in
// step does not take over.
func dies(t *testing.T, primary *servertest.Server) {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: primary.Addr(), ReadTimeout: time.Minute})
	defer client.Close()
	if n, err := client.Wait(t.Context(), 1, 30*time.Second).Result(); err != nil || n < 1 {
		t.Fatalf("%d replicas are in step: %v", n, err)
	}
	primary.Kill()
}

func TestChaosOfAFailOverLosesNothing(t *testing.T) {
	t.Run("sentinel", func(t *testing.T) {
		if os.Getenv("CHAOS") == "" {
			t.Skip("runs with CHAOS set, as make chaos does")
		}
		leak.Check(t)
		set := servertest.RedisSentinel(t)
		failOver(t, redis.Backend("redis+sentinel://"+strings.Join(set.SentinelAddrs(), ",")+"/"+set.Name), func() { dies(t, set.Leader()) })
	})
	t.Run("cluster", func(t *testing.T) {
		leak.Check(t)
		cluster := servertest.RedisCluster(t, servertest.WithReplicas(1))
		failOver(t, redis.Backend(strings.Join(cluster.Addrs(), ",")), func() { dies(t, cluster.Owner("{event:}")) })
	})
}

func ExampleOn() {
	e, err := engine.Open("redis://127.0.0.1:6379") // for several packages
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	s, err := event.New(redis.On(e), event.WithNamespace("shop"), event.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close(context.Background()))
	// Output: <nil>
}
