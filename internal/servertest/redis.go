package servertest

import (
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
	program, part := "redis-server", "debian"
	if o.program != "" {
		program, part = o.program, "redis"
	}
	return spec{
		name: name, part: part, program: program, ports: []string{"redis"}, secure: "redis",
		args: func(s *Server) []string {
			args := []string{"--bind", "127.0.0.1", "--dir", s.dir, "--save", ""}
			for _, setting := range listen(s) {
				args = append(args, "--"+setting[0], setting[1])
			}
			if o.aof {
				args = append(args, "--appendonly", "yes", "--appendfsync", "always")
			}
			return append(args, more...)
		},
		ready: func(s *Server) error {
			_, err := s.resp("PING")
			if err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
				return nil // --requirepass: it serves, though not us
			}
			return err
		},
	}
}

// listen returns Redis' settings for its port.
func listen(s *Server) [][2]string {
	port := strconv.Itoa(s.Port("redis"))
	c := s.opts.tls
	if c == nil {
		return [][2]string{{"port", port}}
	}
	return [][2]string{
		{"port", "0"}, {"tls-port", port}, {"tls-replication", "yes"}, {"tls-cluster", "yes"},
		{"tls-ca-cert-file", c.CAFile}, {"tls-cert-file", c.ServerCert}, {"tls-key-file", c.ServerKeyFile},
	}
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
			reply, err := s.resp("SENTINEL", "get-master-addr-by-name", r.Name)
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
	replica.ready = func(s *Server) error { return s.reports("master_link_status:up", "INFO", "replication") }
	r.Members = append([]*Server{primary}, startAll(t, o, replica, replica)...)
	sentinel := sentinelOf(r.Name, port, len(r.Members)-1)
	r.Sentinels = startAll(t, options{tls: o.tls}, sentinel, sentinel, sentinel)
	return r
}

func sentinelOf(name, port string, replicas int) spec {
	return spec{
		name: "redis-sentinel", part: "debian", program: "redis-server", ports: []string{"redis"}, secure: "redis",
		prepare: func(s *Server) error {
			lines := []string{
				"bind 127.0.0.1", "dir " + s.dir,
				fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 2", name, port),
				"sentinel down-after-milliseconds " + name + " 500",
				"sentinel failover-timeout " + name + " 1000",
			}
			for _, setting := range listen(s) {
				lines = append(lines, setting[0]+" "+setting[1])
			}
			return write(s.dir, "sentinel.conf", strings.Join(lines, "\n"))
		},
		args: func(s *Server) []string { return []string{s.dir + "/sentinel.conf", "--sentinel"} },
		// A sentinel that doesn't know the others yet can't get a quorum.
		ready: func(s *Server) error {
			reply, err := s.resp("SENTINEL", "master", name)
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
