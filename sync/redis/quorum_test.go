package redis_test

import (
	"errors"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
	goredis "github.com/redis/go-redis/v9"
)

// TestQuorumNamesOneTokenEverywhere: a server that grants later than the others
// gives a token of its own, larger than the one that they agreed on. It has to
// take that one over: else the leader is not found once one of the others is
// gone.
func TestQuorumNamesOneTokenEverywhere(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Minute
	var servers []*servertest.Server
	var addrs []string
	for range 3 {
		servers = append(servers, servertest.Redis(t))
		addrs = append(addrs, servers[len(servers)-1].Addr())
	}
	late := netfault.New(t, addrs[2])
	addrs[2] = late.Addr()
	s := open(t, redis.Quorum(addrs...), dsync.WithTimeout(5*time.Second))
	l, err := s.Leader("x", dsync.TTL(ttl), dsync.Owner("a"))
	if err != nil {
		t.Fatal(err)
	}
	late.Hold(netfault.Both)
	e, err := l.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late.Heal()
	// The third server has the claim now, or soon: it, and one of the others,
	// are enough.
	servers[0].Kill()
	deadline := time.Now().Add(ttl / 4) // before the first renewal
	for {
		c, err := l.Leader(t.Context())
		if err == nil && c == (dsync.Candidate{Owner: "a", Token: e.Token()}) {
			break
		}
		if err != nil && !errors.Is(err, dsync.ErrNoLeader) && !errors.Is(err, dsync.ErrUnavailable) {
			t.Fatalf("Leader: %v", err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("Leader = %+v, %v with two of three servers, want a with %d", c, err, e.Token())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Clients of your own say no address by which two could be told apart.
func TestQuorumOfClientsOfYourOwn(t *testing.T) {
	t.Parallel()
	var engines []*engine.Engine
	for range 3 {
		client := goredis.NewClient(&goredis.Options{Addr: servertest.SharedRedis(t).Addr(), ContextTimeoutEnabled: true})
		t.Cleanup(func() { client.Close() })
		engines = append(engines, engine.FromClient(client))
	}
	s, err := dsync.New(redis.QuorumOn(engines...))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dsync.New(redis.QuorumOn(engines[0], engines[1], engines[0]), dsync.WithLazy()); !errors.Is(err, dsync.ErrInvalid) && err == nil {
		t.Error("one server twice was accepted")
	}
}
