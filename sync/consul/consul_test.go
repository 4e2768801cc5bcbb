package consul_test

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	engine "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/consul"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "12") // the cases wait for TTLs, they don't compute
	leak.Main(m)
}

func TestConsulKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.Consul(t, servertest.WithArgs(`-hcl=session_ttl_min="1s"`))
	locktest.Run(t, locktest.Harness{
		Late:    4 * time.Second, // sessions end after one to two TTLs
		Backend: func(testing.TB) dsync.Option { return consul.Backend(server.Addr(), consul.WithMinTTL(time.Second)) },
	})
}

func TestConsulOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server:  servertest.Consul(t, servertest.WithArgs(`-hcl=session_ttl_min="1s"`)),
		Backend: func(addr string) dsync.Option { return consul.Backend(addr, consul.WithMinTTL(time.Second)) },
		TTL:     time.Second,
		Idle:    1,
	})
}

// Y1 and Y4 of the first generation: a leader whose session was destroyed was
// never told, and still reported.
func TestConsulTellsWhenTheSessionIsDestroyedAndDelays(t *testing.T) {
	t.Parallel()
	server := servertest.Consul(t, servertest.WithArgs(`-hcl=session_ttl_min="1s"`))
	client, err := api.NewClient(&api.Config{Address: server.Addr(), Transport: &http.Transport{DisableKeepAlives: true}})
	if err != nil {
		t.Fatal(err)
	}
	const delay = 2 * time.Second
	s, err := dsync.New(consul.On(engine.FromClient(client), consul.WithMinTTL(time.Second), consul.WithLockDelay(delay)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	leader, err := s.Leader("x", dsync.TTL(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	term, err := leader.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pair, _, err := client.KV().Get("sync/default/leader/x/holder", nil)
	if err != nil || pair == nil || pair.ModifyIndex != term.Token() {
		t.Fatalf("holder %+v, %v, want token %d", pair, err, term.Token())
	}
	start := time.Now()
	if _, err := client.Session().Destroy(pair.Session, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.Leader(t.Context()); !errors.Is(err, dsync.ErrNoLeader) {
		t.Errorf("Leader after the session's end = %v, want none", err)
	}
	select {
	case <-term.Context().Done():
		if !errors.Is(context.Cause(term.Context()), dsync.ErrLost) {
			t.Errorf("cause %v, want lost", context.Cause(term.Context()))
		}
	case <-time.After(30 * time.Second):
		t.Error("the leader was not told")
	}
	next, err := leader.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < delay {
		t.Errorf("elected after %v, want the lock delay of %v", d, delay)
	}
	if next.Token() <= term.Token() {
		t.Errorf("token %d after %d", next.Token(), term.Token())
	}
}
