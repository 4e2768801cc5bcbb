package servertest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Redis starts a Redis server, without persistence unless [WithAOF] is given.
func Redis(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	return start(t, o, redis("redis", o))
}

// SharedRedis returns the test binary's Redis server.
func SharedRedis(t testing.TB) *Server {
	t.Helper()
	return share(t, "redis", Redis)
}

func redis(name string, o options, more ...string) spec {
	sp := spec{
		name: name, part: "debian", program: "redis-server", ports: []string{"redis"},
		args: func(s *Server) []string {
			args := []string{"--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--port", strconv.Itoa(s.Port("redis"))}
			if o.tls != nil {
				args = append(args[:len(args)-2], "--port", "0", "--tls-port", strconv.Itoa(s.Port("redis")),
					"--tls-ca-cert-file", o.tls.CAFile, "--tls-cert-file", o.tls.ServerCert, "--tls-key-file", o.tls.ServerKeyFile)
			}
			if o.aof {
				args = append(args, "--appendonly", "yes", "--appendfsync", "always")
			}
			return append(args, more...)
		},
		ready: func(s *Server) error {
			_, err := resp(s.Addr(), "PING")
			if err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
				return nil // --requirepass: it serves, though not us
			}
			return err
		},
	}
	if o.tls != nil {
		sp.ready = accepts
	}
	return sp
}

// A ReplicaSet is a Redis primary with replicas that sentinels watch.
type ReplicaSet struct {
	Name      string    // of the primary, as sentinels know it
	Members   []*Server // the first one was started as the primary
	Sentinels []*Server
}

// SentinelAddrs returns the addresses that clients are given.
func (r *ReplicaSet) SentinelAddrs() []string { return addrs(r.Sentinels) }

// Leader returns the present primary, as a sentinel that answers knows it.
func (r *ReplicaSet) Leader() *Server {
	var leader *Server
	poll(answerWithin, func() bool {
		for _, s := range r.Sentinels {
			reply, err := resp(s.Addr(), "SENTINEL", "get-master-addr-by-name", r.Name)
			if pair, ok := reply.([]any); err == nil && ok && len(pair) == 2 {
				leader = withPort(r.Members, fmt.Sprint(pair[1]))
				return leader != nil
			}
		}
		return false
	})
	return leader
}

// RedisSentinel starts a primary, two replicas and three sentinels that fail over within about
// two seconds.
func RedisSentinel(t testing.TB, opts ...Option) *ReplicaSet {
	t.Helper()
	o := collect(opts)
	r := &ReplicaSet{Name: "mymaster"}
	primary := start(t, o, redis("redis-primary", o, "--repl-diskless-sync-delay", "0"))
	port := strconv.Itoa(primary.Port("redis"))
	replica := redis("redis-replica", o, "--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", port)
	replica.ready = func(s *Server) error { return reports(s.Addr(), "master_link_status:up", "INFO", "replication") }
	r.Members = append([]*Server{primary}, startAll(t, o, replica, replica)...)
	sentinel := sentinelOf(r.Name, port, len(r.Members)-1)
	r.Sentinels = startAll(t, options{}, sentinel, sentinel, sentinel)
	return r
}

func sentinelOf(name, port string, replicas int) spec {
	return spec{
		name: "redis-sentinel", part: "debian", program: "redis-server", ports: []string{"redis"},
		prepare: func(s *Server) error {
			return write(s.dir, "sentinel.conf", strings.Join([]string{
				fmt.Sprintf("port %d", s.Port("redis")), "bind 127.0.0.1", "dir " + s.dir,
				fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 2", name, port),
				"sentinel down-after-milliseconds " + name + " 500",
				"sentinel failover-timeout " + name + " 1000",
			}, "\n"))
		},
		args: func(s *Server) []string { return []string{s.dir + "/sentinel.conf", "--sentinel"} },
		// A sentinel that doesn't know the others yet can't get a quorum.
		ready: func(s *Server) error {
			reply, err := resp(s.Addr(), "SENTINEL", "master", name)
			if err != nil {
				return err
			}
			fields, _ := reply.([]any)
			known := map[string]string{}
			for i := 0; i+1 < len(fields); i += 2 {
				known[fmt.Sprint(fields[i])] = fmt.Sprint(fields[i+1])
			}
			if known["num-other-sentinels"] != "2" || known["num-slaves"] != strconv.Itoa(replicas) {
				return fmt.Errorf("sentinel knows %s others and %s replicas", known["num-other-sentinels"], known["num-slaves"])
			}
			return nil
		},
	}
}

// reports returns nil if the reply to a command contains want.
func reports(addr, want string, command ...string) error {
	reply, err := resp(addr, command...)
	if err != nil {
		return err
	}
	if text, _ := reply.(string); !strings.Contains(text, want) {
		return errors.New("not yet " + want)
	}
	return nil
}
