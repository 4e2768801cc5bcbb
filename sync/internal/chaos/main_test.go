package chaos

import (
	"crypto/tls"
	"flag"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/consul"
	"github.com/micro/go-platform/sync/etcd"
	"github.com/micro/go-platform/sync/kubernetes"
	"github.com/micro/go-platform/sync/redis"
	"github.com/micro/go-platform/sync/sql"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"contender": contend, "counter": count})
	flag.Set("test.parallel", "4") // the runs wait for TTLs, but have five processes each and more
	leak.Main(m)
}

// long is how long a run lasts with CHAOS set, else 0.
func long(t *testing.T) time.Duration {
	s := os.Getenv("CHAOS")
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("CHAOS=%q: %v", s, err)
	}
	return d
}

// dice are fixed for each test in short runs.
func dice(t *testing.T) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(t.Name()))
	seed := h.Sum64()
	if long(t) > 0 {
		seed = rand.Uint64()
		if s := os.Getenv("CHAOS_SEED"); s != "" {
			seed, _ = strconv.ParseUint(s, 10, 64)
		}
		t.Logf("CHAOS_SEED=%d", seed)
	}
	return rand.New(rand.NewPCG(seed, 0))
}

// backend is the option for a backend of a name.
func backend(name, addr string) dsync.Option {
	switch name {
	case "redis":
		return redis.Backend(addr)
	case "quorum":
		return redis.Quorum(strings.Split(addr, ",")...)
	case "etcd":
		return etcd.Backend(addr)
	case "consul":
		return consul.Backend(addr, consul.WithMinTTL(time.Second))
	case "kubernetes":
		e, err := engine.Open("https://"+addr, engine.WithToken(servertest.KubeAdmin), engine.WithTLS(&tls.Config{InsecureSkipVerify: true})) // a server of the test's own
		if err != nil {
			panic(err)
		}
		return kubernetes.On(e) // it is closed with the process
	case "mysql":
		return sql.MySQL("mysql://root@" + addr + "/mysql")
	case "postgres":
		return sql.Postgres("postgres://postgres@" + addr + "/postgres?sslmode=disable")
	}
	panic("no backend " + name)
}

// server is what the faults of servers need.
type server interface {
	Pause()
	Resume()
	Kill()
	Restart()
}

// target is a backend under test.
type target struct {
	name, backend string
	ttl           time.Duration
	start         func(t *testing.T) (addrs []string, fail func() server)
	forgets       bool // locks don't live on over a restart
	revokes       bool // a server that was paused may end claims that live: only the tokens are right
	contenders    int  // 0: four
	long          bool // only with CHAOS set: five processes more are too much for a short run
}

func single(s *servertest.Server) ([]string, func() server) {
	return []string{s.Addr()}, func() server { return s }
}

// cluster fails its leader, and goes on without it.
func cluster(c *servertest.Cluster) ([]string, func() server) {
	return c.Addrs(), func() server {
		if l := c.Leader(); l != nil {
			return l
		}
		return c.Members[0]
	}
}

// shortSessions lets Consul's sessions be as short as the tests need.
var shortSessions = servertest.WithArgs(`-hcl=session_ttl_min="1s"`)

var targets = []target{
	{name: "redis", backend: "redis", ttl: 600 * time.Millisecond, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.Redis(t, servertest.WithAOF()))
	}},
	{name: "redis without persistence", backend: "redis", ttl: 600 * time.Millisecond, forgets: true, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.Redis(t))
	}},
	{name: "redis quorum", backend: "quorum", ttl: 600 * time.Millisecond, start: func(t *testing.T) ([]string, func() server) {
		var addrs []string
		var servers []*servertest.Server
		for range 3 {
			s := servertest.Redis(t, servertest.WithAOF())
			addrs, servers = append(addrs, s.Addr()), append(servers, s)
		}
		return addrs, func() server { return servers[rand.IntN(len(servers))] }
	}},
	{name: "etcd", backend: "etcd", ttl: time.Second, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.Etcd(t))
	}},
	{name: "etcd of three", backend: "etcd", ttl: time.Second, revokes: true, start: func(t *testing.T) ([]string, func() server) {
		return cluster(servertest.EtcdCluster(t))
	}},
	{name: "consul", backend: "consul", ttl: time.Second, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.Consul(t, shortSessions))
	}},
	{name: "consul of three", backend: "consul", ttl: time.Second, start: func(t *testing.T) ([]string, func() server) {
		return cluster(servertest.ConsulCluster(t, shortSessions))
	}},
	{name: "mysql", backend: "mysql", long: true, ttl: time.Second, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2")))
	}},
	{name: "postgres", backend: "postgres", long: true, ttl: time.Second, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on")))
	}},
	{name: "kubernetes", backend: "kubernetes", long: true, contenders: 10, ttl: time.Second, start: func(t *testing.T) ([]string, func() server) {
		return single(servertest.Kubernetes(t).Server)
	}},
}

// chosen are the targets of this run.
func chosen(t *testing.T) (all []target) {
	for _, tg := range targets {
		if !tg.long || long(t) > 0 {
			all = append(all, tg)
		}
	}
	return all
}
