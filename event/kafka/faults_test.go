package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func proxied(t *testing.T) (*netfault.Proxy, event.Stream) {
	t.Helper()
	return proxiedIn(t, servertest.Namespace(t))
}

func proxiedIn(t *testing.T, namespace string) (*netfault.Proxy, event.Stream) {
	t.Helper()
	p := netfault.New(t, servertest.SharedKafka(t).Addr())
	s, err := event.New(kafka.On(through(t, p.Addr())), event.WithNamespace(namespace), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return p, s
}

func TestIdleSubscriptionsCostLittle(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Idle(t, p, s, 60)
}

func TestNothingIsMissedOverABadLink(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Cut(t, p, s)
}

func TestOneCallDoesNotHoldUpAnother(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedKafka(t).Addr())
	s, err := event.New(kafka.On(through(t, p.Addr(), kgo.RetryTimeout(time.Minute), kgo.RequestTimeoutOverhead(time.Minute))), event.WithNamespace(servertest.Namespace(t)), event.WithTimeout(time.Minute), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	links.Apart(t, p, s)
}

func TestDataIsTheCallersAgain(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Own(t, p, s, 10_000, func() { p.Drop(netfault.Requests) })
}

// While no broker can be reached, a record is certainly not published; when the
// answer is lost, its outcome is unknown. What was not sent is not sent later.
func TestOutcomes(t *testing.T) {
	ns := servertest.Namespace(t)
	p, s := proxiedIn(t, ns)
	direct := openIn(t, ns)
	publish(t, s, &event.Record{ID: "before", Type: "t"})
	within := func(d time.Duration, id string) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return s.Publish(ctx, &event.Record{ID: id, Type: "t"})
	}
	p.Refuse()
	p.Reset()
	// The client writes to a connection that it does not know to be broken.
	if err := within(500*time.Millisecond, "refused"); !errors.Is(err, event.ErrUnknownOutcome) && !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("a broken connection: %v, want ErrUnknownOutcome or ErrUnavailable", err)
	}
	if err := within(500*time.Millisecond, "not sent"); !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, event.ErrUnknownOutcome) {
		t.Errorf("nobody to be reached: %v, want ErrUnavailable and DeadlineExceeded, and no ErrUnknownOutcome", err)
	}
	p.Heal()
	publish(t, s, &event.Record{ID: "between", Type: "t"})
	p.Drop(netfault.Replies)
	ctx, giveUp := context.WithCancel(t.Context())
	unanswered := make(chan error, 1)
	go func() { unanswered <- s.Publish(ctx, &event.Record{ID: "unanswered", Type: "t"}) }()
	until(t, "the broker has it", func() bool { return slices.Contains(ids(all(t, direct)), "unanswered") })
	giveUp()
	if err := <-unanswered; !errors.Is(err, event.ErrUnknownOutcome) {
		t.Errorf("no answer: %v, want ErrUnknownOutcome", err)
	}
	p.Heal()
	publish(t, s, &event.Record{ID: "after", Type: "t"})
	// "unanswered" was stored, once: the client's repetition is recognized.
	got := slices.DeleteFunc(ids(all(t, s)), func(id string) bool { return id == "refused" })
	if want := []string{"before", "between", "unanswered", "after"}; !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	p.Hold(netfault.Both)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for _, err := range s.Query(short) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Query without an answer: %v, want DeadlineExceeded", err)
		}
	}
	p.Heal()
}

// Somebody deletes the topic: it is made again, and everybody goes on.
func TestTopicDeletedUnderUs(t *testing.T) {
	topic := servertest.Namespace(t)
	s := open(t, kafka.WithTopic(topic))
	var live, shared, ordered got
	subscribe(t, s, live.handle)
	subscribe(t, s, shared.handle, event.Group("shared"))
	subscribe(t, s, ordered.handle, event.Group("ordered"), event.Ordered(event.BySubject))
	has := func(id string) bool {
		for _, g := range []*got{&live, &shared, &ordered} {
			if !slices.Contains(ids(g.list()), id) {
				return false
			}
		}
		return true
	}
	for i := range 20 {
		publish(t, s, &event.Record{ID: fmt.Sprint("old", i), Type: "t"})
	}
	until(t, "the old ones are handled", func() bool { return has("old19") })
	if _, err := admin(t).DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	publish(t, s, &event.Record{ID: "new", Type: "t"}) // once is enough
	until(t, "all hear of what is published then", func() bool { return has("new") })
}

// Many publish while somebody deletes the topic: each Publish that has returned is
// in the new one or was in the old one, and none fails for another's finding out.
func TestTopicDeletedUnderManyPublishers(t *testing.T) {
	topic := servertest.Namespace(t)
	s := open(t, kafka.WithTopic(topic))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := map[string]int{}
	for p := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.Publish(t.Context(), &event.Record{ID: fmt.Sprint(p, "-", i), Type: "t", Data: make([]byte, 1000)}); err != nil {
					mu.Lock()
					failed[err.Error()]++
					mu.Unlock()
				}
			}
		})
	}
	for range 3 {
		publish(t, s, &event.Record{Type: "t"})
		if _, err := admin(t).DeleteTopics(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		publish(t, s, &event.Record{Type: "t"})
		<-time.After(100 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	for text, n := range failed {
		t.Errorf("%d of many publishers heard: %s", n, text)
	}
}

// Somebody deletes the topic of the groups: it is made again, and a group can be made at
// once.
func TestGroupsTopicDeletedUnderUs(t *testing.T) {
	topic := servertest.Namespace(t)
	s := open(t, kafka.WithTopic(topic))
	var old, fresh got
	closeSub(t, subscribe(t, s, old.handle, event.Group("old")))
	if _, err := admin(t).DeleteTopics(t.Context(), "groups-of-"+topic); err != nil {
		t.Fatal(err)
	}
	subscribe(t, s, fresh.handle, event.Group("fresh"))
	publish(t, s, &event.Record{ID: "new", Type: "t"})
	until(t, "the new group is handed it", func() bool { return slices.Contains(ids(fresh.list()), "new") })
}

// deaf is a connection that can lose the heartbeats of share groups, and nothing
// else: as if their coordinator, which is another broker in a cluster, were silent.
type deaf struct {
	net.Conn
	now *atomic.Bool
}

func (d deaf) Write(b []byte) (int, error) {
	const shareGroupHeartbeat = 76
	if d.now.Load() && len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == shareGroupHeartbeat {
		return len(b), nil
	}
	return d.Conn.Write(b)
}

// A coordinator that is silent does not cost the locks of what is being handled. A lock that
// nobody could renew, because the machine stood still, shows nothing.
func TestLocksAreRenewedWhileTheCoordinatorIsSilent(t *testing.T) {
	for range 3 {
		times, stood := handedOutWhileSilent(t)
		if times == 0 {
			return
		}
		if stood < 500*time.Millisecond {
			t.Fatalf("another member was handed the record %d times while it was being handled", times)
		}
		t.Logf("the machine stood still for %v", stood)
	}
	t.Fatal("the machine stood still for as long as a lock lasts, three times")
}

// handedOutWhileSilent returns how many times another member is handed what a handler works
// on for long, and for how long the process has stood still meanwhile.
func handedOutWhileSilent(t *testing.T) (times int, stood time.Duration) {
	var silent atomic.Bool
	ns := servertest.Namespace(t)
	e, err := engine.Open(servertest.SharedKafka(t).Addr(), engine.WithClientOptions(kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		return deaf{c, &silent}, err
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s, err := event.New(kafka.On(e), event.WithNamespace(ns), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Store(false); shut(t, s) })
	began, release := make(chan struct{}), make(chan struct{})
	opts := []event.SubscribeOption{event.Group("g"), event.From(event.Beginning()), event.AckWait(2 * time.Second)}
	var first, other got
	begin := sync.OnceFunc(func() { close(began) })
	subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		begin()
		<-release
		return first.handle(ctx, r)
	}, opts...)
	publish(t, s, &event.Record{ID: "1", Type: "t"})
	<-began
	silent.Store(true)
	subscribe(t, openIn(t, ns), other.handle, opts...)
	for last, end := time.Now(), time.Now().Add(5*time.Second); last.Before(end); { // more than twice as long as a lock lasts
		<-time.After(10 * time.Millisecond)
		stood = max(stood, time.Since(last))
		last = time.Now()
	}
	close(release)
	until(t, "it is handled", func() bool { return first.len() > 0 })
	silent.Store(false)
	return other.len(), stood
}

// kafkaGroup finds what a group is called in Kafka.
func kafkaGroup(t *testing.T, topic, group string) string {
	t.Helper()
	listed, err := admin(t).ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range listed {
		if strings.HasPrefix(name, topic+"/"+group+"/") {
			return name
		}
	}
	t.Fatalf("no group of %s in %v", group, listed)
	return ""
}

// A record that nobody acknowledges is handed out ten times, and then is a dead
// letter: the broker would drop it.
func TestTheLastDeliveryIsADeadLetter(t *testing.T) {
	for _, before := range []int{8, 9} {
		topic := servertest.Namespace(t)
		s := open(t, kafka.WithTopic(topic))
		var handled, dead got
		subscribe(t, s, dead.handle, event.Types("dead.g"))
		begin := []event.SubscribeOption{event.Group("g"), event.Types("t"), event.MaxAttempts(0)}
		closeSub(t, subscribe(t, s, handled.handle, begin...))
		publish(t, s, &event.Record{ID: "poison", Type: "t", Data: []byte("d")})

		c, err := kgo.NewClient(kgo.SeedBrokers(servertest.SharedKafka(t).Addr()), kgo.ShareGroup(kafkaGroup(t, topic, "g")), kgo.ConsumeTopics(topic),
			kgo.ShareMaxRecordsStrict()) // fetches nothing ahead, which would count
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < before; {
			for _, m := range c.PollFetches(t.Context()).Records() {
				m.Ack(kgo.AckRelease)
				n++
			}
			if err := c.FlushAcks(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.LeaveGroupContext(t.Context())
		c.Close()

		attempt := 0
		sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
			d, _ := event.DeliveryFromContext(ctx)
			attempt = d.Attempt
			return handled.handle(ctx, r)
		}, begin...)
		until(t, "it is handled or dead", func() bool { return handled.len()+dead.len() > 0 })
		closeSub(t, sub)
		switch rs := dead.list(); {
		case before == 8 && (len(rs) != 0 || attempt != 9):
			t.Errorf("after %d deliveries: attempt %d, dead letters %v, want attempt 9", before, attempt, ids(rs))
		case before == 9 && (len(rs) != 1 || rs[0].Metadata[event.DeadID] != "poison" || string(rs[0].Data) != "d" || attempt != 0):
			t.Errorf("after %d deliveries: attempt %d, dead letters %v, want the record", before, attempt, ids(rs))
		}
	}
}

// What an ordered member gives back when it closes was not attempted, however
// often. Share groups count it.
func TestClosingCountsNoAttempt(t *testing.T) {
	for name, opts := range map[string][]event.SubscribeOption{"ordered": {event.Ordered(event.BySubject)}} {
		s := open(t)
		began, proceed := make(chan struct{}, 100), make(chan struct{})
		var g got
		attempts := map[string]int{}
		var mu sync.Mutex
		opts = append(opts, event.Group("g"), event.From(event.Beginning()))
		publish(t, s, &event.Record{ID: "first", Type: "t", Subject: "a"}, &event.Record{ID: "second", Type: "t", Subject: "b"}, &event.Record{ID: "third", Type: "t", Subject: "c"})
		for range 4 {
			sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
				began <- struct{}{}
				select {
				case <-proceed:
				case <-ctx.Done():
				}
				return errors.New("not done")
			}, append(opts, event.MaxAttempts(0), event.Backoff(time.Hour, time.Hour))...)
			<-began
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := sub.Close(ended); !errors.Is(err, event.ErrTimeout) { // from here on no other handler begins
				t.Fatalf("Close that does not wait: %v, want ErrTimeout", err)
			}
			proceed <- struct{}{}
			closeSub(t, sub)
		}
		subscribe(t, s, func(ctx context.Context, r *event.Record) error {
			d, _ := event.DeliveryFromContext(ctx)
			mu.Lock()
			attempts[r.ID] = d.Attempt
			mu.Unlock()
			return g.handle(ctx, r)
		}, opts...)
		until(t, name+": all are handled", func() bool { return g.len() == 3 })
		mu.Lock()
		for id, n := range attempts {
			if n != 1 {
				t.Errorf("%s: %s has attempt %d, want 1: it was given back each time", name, id, n)
			}
		}
		mu.Unlock()
	}
}

// An ordered group counts how often a record was handed to members that died.
func TestOrderedGroupCountsDeadMembers(t *testing.T) {
	ns := servertest.Namespace(t)
	s := openIn(t, ns)
	publish(t, s, &event.Record{ID: "poison", Type: "t"}, &event.Record{ID: "next", Type: "t"})
	opts := []event.SubscribeOption{event.Group("g"), event.From(event.Beginning()), event.Ordered(event.BySubject), event.AckWait(time.Second), event.MaxAttempts(3)}
	var attempts []int
	var mu sync.Mutex
	for range 2 {
		p := netfault.New(t, servertest.SharedKafka(t).Addr())
		victim, err := event.New(kafka.On(through(t, p.Addr())), event.WithNamespace(ns), event.WithTimeout(200*time.Millisecond), event.WithDialTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		seen, release := make(chan int, 1), make(chan struct{})
		opening, opened := context.WithTimeout(t.Context(), time.Minute) // not within the short one: the machine may be busy
		_, err = victim.Subscribe(opening, func(ctx context.Context, r *event.Record) error {
			d, _ := event.DeliveryFromContext(ctx)
			seen <- d.Attempt
			<-release
			return nil
		}, opts...)
		opened()
		if err != nil {
			t.Fatal(err)
		}
		attempts = append(attempts, <-seen)
		p.Drop(netfault.Both) // as if it were dead
		close(release)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		victim.Close(ctx)
		cancel()
		p.Close()
	}
	var dead got
	subscribe(t, s, dead.handle, event.From(event.Beginning()), event.Types("dead.g"))
	subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		d, _ := event.DeliveryFromContext(ctx)
		mu.Lock()
		defer mu.Unlock()
		attempts = append(attempts, d.Attempt)
		return event.Retry(errors.New("no"), time.Millisecond)
	}, append(opts, event.AckWait(20*time.Second))...) // lives, also on a machine that stands still
	until(t, "both are dead", func() bool { return dead.len() == 2 })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(attempts, []int{1, 2, 3, 1, 2, 3}) {
		t.Errorf("attempts %v, want 1 and 2 at members that died, then 3, and then the next record", attempts)
	}
}

// Where the brokers have no share groups, the members of a group share the
// partitions.
func TestGroupsWithoutShareGroups(t *testing.T) {
	server := servertest.Kafka(t)
	c, err := kgo.NewClient(kgo.SeedBrokers(server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	f.Feature, f.MaxVersionLevel, f.UpgradeType, f.AllowDowngrade = "share.version", 0, 2, true
	req.FeatureUpdates = append(req.FeatureUpdates, f)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("turning share groups off: %+v, %v", resp, err)
	}
	s, err := event.New(patient(kafka.Backend(server.Addr(), kafka.WithPartitions(2)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	var one, two got
	first := subscribe(t, s, one.handle, event.Group("g"), event.From(event.Beginning()))
	publishKeys(t, s, 8, 0, 10)
	until(t, "all are handled", func() bool { return one.len() == 80 })
	closeSub(t, first)
	publishKeys(t, s, 8, 10, 20)
	subscribe(t, s, two.handle, event.Group("g"))
	until(t, "the rest is handled", func() bool { return two.len() >= 80 })
	byKey(t, "both members", slices.Concat(one.list(), two.list()), 8, 20)
	if id := func() string {
		groups, err := kadm.NewClient(c).ListGroups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			return g.ProtocolType
		}
		return ""
	}(); id != "consumer" {
		t.Errorf("the group's type is %q, want a classic one's", id)
	}
}

// All members of a group are ordered, or none.
func TestOrderedAndSharedMembersDoNotMix(t *testing.T) {
	s := open(t)
	h := func(context.Context, *event.Record) error { return nil }
	subscribe(t, s, h, event.Group("shared"))
	subscribe(t, s, h, event.Group("ordered"), event.Ordered(event.BySubject))
	for name, opts := range map[string][]event.SubscribeOption{"shared": {event.Ordered(event.BySubject)}, "ordered": nil} {
		if _, err := s.Subscribe(t.Context(), h, append(opts, event.Group(name))...); !errors.Is(err, event.ErrConflict) {
			t.Errorf("another kind of member of %s: %v, want ErrConflict", name, err)
		}
	}
}

// A group that is deleted while it has members is gone, and what Kafka has of it
// too when they have left; one of the same name begins again.
func TestDeletedGroupWithMembers(t *testing.T) {
	topic := servertest.Namespace(t)
	s := open(t, kafka.WithTopic(topic))
	for name, opts := range map[string][]event.SubscribeOption{"shared": nil, "ordered": {event.Ordered(event.BySubject)}} {
		opts = append(opts, event.Group(name), event.From(event.Beginning()))
		var old, fresh got
		sub := subscribe(t, s, old.handle, opts...)
		publish(t, s, &event.Record{Type: "t"})
		until(t, "the old group is at work", func() bool { return old.len() > 0 })
		id := kafkaGroup(t, topic, name)
		if err := s.DeleteGroup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteGroup(t.Context(), name); !errors.Is(err, event.ErrNotFound) {
			t.Errorf("deleting %s again: %v, want ErrNotFound", name, err)
		}
		n := len(all(t, s))
		subscribe(t, s, fresh.handle, opts...)
		until(t, "the new group begins again", func() bool { return fresh.len() == n })
		until(t, "the old member hears of it", func() bool { return errors.Is(sub.Stats().Err, event.ErrNotFound) })
		closeSub(t, sub)
		until(t, "Kafka has nothing of the old group", func() bool {
			listed, err := admin(t).ListGroups(t.Context())
			_, there := listed[id]
			return err == nil && !there
		})
	}
}

// A user who may not is ErrDenied, and hears so at once.
func TestDenied(t *testing.T) {
	server := servertest.Kafka(t, servertest.WithSASL())
	as := func(user string) *engine.Engine {
		e, err := engine.Open(server.Addr(), engine.WithSCRAM256(user, servertest.KafkaPassword))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	}
	s, err := event.New(patient(kafka.On(as(servertest.KafkaAdmin)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	publish(t, s, &event.Record{ID: "1", Type: "t"})
	if _, err := event.New(kafka.On(as(servertest.KafkaUser))); !errors.Is(err, event.ErrDenied) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("New: %v, want ErrDenied", err)
	}
	a := kadm.NewClient(as(servertest.KafkaAdmin).Client())
	allow := func(ops ...kadm.ACLOperation) {
		t.Helper()
		b := kadm.NewACLs().Topics("events").Allow("User:" + servertest.KafkaUser).AllowHosts().Operations(ops...).ResourcePatternType(kadm.ACLPatternLiteral)
		if res, err := a.CreateACLs(t.Context(), b); err != nil || res[0].Err != nil {
			t.Fatalf("%v, %v", res, err)
		}
	}
	allow(kadm.OpRead, kadm.OpDescribe)
	var reader event.Stream
	until(t, "the right to read is there", func() bool {
		reader, err = event.New(patient(kafka.On(as(servertest.KafkaUser)))...)
		if err != nil && !errors.Is(err, event.ErrDenied) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(func() { shut(t, reader) })
	if got := ids(all(t, reader)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the reader reads %v, want 1", got)
	}
	h := func(context.Context, *event.Record) error { return nil }
	began := time.Now()
	if err := reader.Publish(t.Context(), &event.Record{Type: "t"}); !errors.Is(err, event.ErrDenied) {
		t.Errorf("Publish: %v, want ErrDenied", err)
	}
	if _, err := reader.Subscribe(t.Context(), h, event.Group("g")); !errors.Is(err, event.ErrDenied) {
		t.Errorf("Subscribe with a group: %v, want ErrDenied", err)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v to hear of it", d)
	}
	if got := ids(all(t, s)); !slices.Equal(got, []string{"1"}) {
		t.Errorf("stored %v, want 1 alone", got)
	}

	// The topics are open to the user, the groups are not.
	user := func(b *kadm.ACLBuilder, ops ...kadm.ACLOperation) {
		t.Helper()
		b = b.Allow("User:" + servertest.KafkaUser).AllowHosts().Operations(ops...)
		if res, err := a.CreateACLs(t.Context(), b); err != nil || res[0].Err != nil {
			t.Fatalf("%v, %v", res, err)
		}
	}
	closeSub(t, subscribe(t, s, h, event.Group("ordered"), event.From(event.Beginning()), event.Ordered(event.BySubject))) // makes the topic of the groups
	user(kadm.NewACLs().Topics("groups-of-events").ResourcePatternType(kadm.ACLPatternLiteral), kadm.OpRead, kadm.OpWrite, kadm.OpDescribe)
	var g got
	join := func() error {
		_, err := reader.Subscribe(t.Context(), g.handle, event.Group("ordered"), event.Ordered(event.BySubject), event.AckWait(time.Second))
		return err
	}
	until(t, "the refusal names the group", func() bool {
		err := join()
		if !errors.Is(err, event.ErrDenied) {
			t.Fatalf("joining without a right to the group: %v, want ErrDenied", err)
		}
		return strings.Contains(err.Error(), "GROUP_AUTHORIZATION_FAILED")
	})
	groups := kadm.NewACLs().Groups("events/").ResourcePatternType(kadm.ACLPatternPrefixed)
	user(groups, kadm.OpRead, kadm.OpDescribe)
	until(t, "the right to the group is there", func() bool { return join() == nil })
	until(t, "the record is handled", func() bool { return g.len() > 0 })
}

// New says in the log what may lose records.
func TestAdvice(t *testing.T) {
	topic, hour := servertest.Namespace(t), "3600000"
	if _, err := admin(t).CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": &hour}, topic); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		opts []kafka.Option
		want map[string]bool
	}{
		"of others": {[]kafka.Option{kafka.WithTopic(topic)}, map[string]bool{"retention.ms is 3600000": true, "one broker keeps it": true, "retention.bytes": false, "compact": false}},
		"our own":   {nil, map[string]bool{"retention.ms": false, "one broker keeps it": true, "unclean": false}},
	} {
		var b strings.Builder
		s, err := event.New(patient(kafka.Backend(servertest.SharedKafka(t).Addr(), c.opts...), event.WithNamespace(servertest.Namespace(t)), event.WithLogger(slog.New(slog.NewTextHandler(&b, nil))))...)
		if err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		for part, want := range c.want {
			if strings.Contains(b.String(), part) != want {
				t.Errorf("%s: the log has %q: %v, want %v: %s", name, part, !want, want, b.String())
			}
		}
	}
}

func TestBadConfigurationIsAnErrorOfNew(t *testing.T) {
	for name, opt := range map[string]event.Option{
		"address": kafka.Backend(""), "scheme": kafka.Backend("http://u:s3cret@h"), "nil option": kafka.Backend("h", nil), "nil engine": kafka.On(nil),
		"topic": kafka.Backend("h", kafka.WithTopic("a/b")), "empty topic": kafka.Backend("h", kafka.WithTopic("")), "dots": kafka.Backend("h", kafka.WithTopic("..")), "long topic": kafka.Backend("h", kafka.WithTopic(strings.Repeat("t", 201))),
		"partitions": kafka.Backend("h", kafka.WithPartitions(0)), "many partitions": kafka.Backend("h", kafka.WithPartitions(1001)), "replicas": kafka.Backend("h", kafka.WithReplicas(0)), "key": kafka.Backend("h", kafka.WithKey(nil)),
	} {
		if _, err := event.New(opt); !errors.Is(err, event.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
	}
}

// Namespaces that Kafka would take for one another are apart.
func TestNamespacesAreNotMixedUp(t *testing.T) {
	base := "n" + event.NewID()[24:]
	names := []string{base + ".a", base + "_a", base + "-a", base + "-5Fa", base + "-2Da", base + "-2D5Fa"}
	for _, ns := range names {
		publish(t, openIn(t, ns), &event.Record{ID: ns, Type: "t"})
	}
	for _, ns := range names {
		if got := ids(all(t, openIn(t, ns))); !slices.Equal(got, []string{ns}) {
			t.Errorf("%s has %v", ns, got)
		}
	}
}
