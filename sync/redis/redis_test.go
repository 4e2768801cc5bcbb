package redis_test

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
	"github.com/micro/go-platform/sync/redis"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "12") // the cases wait for TTLs, they don't compute
	leak.Main(m)
}

func TestRedisKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.SharedRedis(t)
	locktest.Run(t, locktest.Harness{
		TTL:     time.Second,
		Backend: func(testing.TB) dsync.Option { return redis.Backend(server.Addr()) },
	})
}

func TestRedisOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server:  servertest.Redis(t),
		Backend: func(addr string) dsync.Option { return redis.Backend(addr) },
		TTL:     time.Second,
		Idle:    3, // a sign of life of the subscription each second
	})
}

func TestQuorumKeepsTheContract(t *testing.T) {
	t.Parallel()
	addrs := []string{servertest.Redis(t).Addr(), servertest.Redis(t).Addr(), servertest.Redis(t).Addr()}
	locktest.Run(t, locktest.Harness{
		TTL:     time.Second,
		Backend: func(testing.TB) dsync.Option { return redis.Quorum(addrs...) },
	})
}

func TestQuorumSurvivesTheLossOfAMinority(t *testing.T) {
	t.Parallel()
	var servers []*servertest.Server
	var addrs []string
	for range 3 {
		servers = append(servers, servertest.Redis(t))
		addrs = append(addrs, servers[len(servers)-1].Addr())
	}
	s, err := dsync.New(redis.Quorum(addrs...), dsync.WithTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	held, err := s.Lock(t.Context(), "held", dsync.TTL(6*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	last := held.Token()
	for i, lose := range []func(){servers[0].Kill, func() { servers[0].Restart(); servers[1].Pause() }} {
		lose()
		deadline := time.Now().Add(30 * time.Second) // a client may take a second to see that a server is back
		for n := 0; n < 5; n++ {
			l, err := s.Lock(t.Context(), "x")
			if err != nil && time.Now().Before(deadline) {
				<-time.After(20 * time.Millisecond)
				n--
				continue
			}
			if err != nil {
				t.Fatalf("Lock without server %d: %v", i, err)
			}
			if l.Token() <= last {
				t.Errorf("token %d after %d", l.Token(), last)
			}
			last = l.Token()
			if err := l.Unlock(t.Context()); err != nil {
				t.Errorf("Unlock without server %d: %v", i, err)
			}
			if i == 0 {
				last = max(last, held.Token())
			}
		}
		if i > 0 {
			continue
		}
		<-time.After(7 * time.Second)
		if held.Context().Err() != nil {
			t.Errorf("lost with two of three servers: %v", context.Cause(held.Context()))
		}
	}
	servers[0].Kill()
	if _, err := s.TryLock(t.Context(), "y"); !errors.Is(err, dsync.ErrUnavailable) && !errors.Is(err, dsync.ErrUnknownOutcome) {
		t.Errorf("TryLock with one of three servers = %v, want unavailable", err)
	}
	servers[1].Resume()
}

func TestBackendRefusesWhatIsNoAddress(t *testing.T) {
	if _, err := dsync.New(redis.Backend("http://a"), dsync.WithLazy()); !errors.Is(err, dsync.ErrInvalid) || !strings.Contains(err.Error(), "http") {
		t.Errorf("New = %v, want invalid", err)
	}
}

func TestQuorumRefusesWhatIsNone(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		says  string
	}{
		{nil, "0 servers"}, {[]string{"a"}, "1 servers"}, {[]string{"a", "b"}, "2 servers"}, {[]string{"a", "b", "c", "d"}, "4 servers"},
		{[]string{"a", "b", "a"}, "twice"}, {[]string{"a", "b", "http://c"}, "http"},
	} {
		if _, err := dsync.New(redis.Quorum(c.addrs...)); !errors.Is(err, dsync.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("New on %v = %v, want invalid and %q", c.addrs, err, c.says)
		}
	}
}
