package servertest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Consul starts a Consul agent in server mode, alone. It keeps its data over Restart. Sessions
// shorter than Consul's minimum of 10 s need WithArgs(`-hcl=session_ttl_min="1s"`).
func Consul(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return consuls(t, collect(opts), 1)[0]
}

// SharedConsul returns the test binary's Consul agent.
func SharedConsul(t testing.TB) *Server {
	t.Helper()
	return share(t, "consul", Consul)
}

// ConsulCluster starts three Consul servers.
func ConsulCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	return &Cluster{Members: consuls(t, collect(opts), 3), leader: consulLeader}
}

func consuls(t testing.TB, o options, n int) []*Server {
	t.Helper()
	specs := make([]spec, n)
	for i := range specs {
		specs[i] = consul(fmt.Sprintf("consul%d", i), n, o)
	}
	return startAll(t, o, specs...)
}

func consul(name string, servers int, o options) spec {
	return spec{
		name: name, part: "consul", program: "consul", ports: []string{"http", "server", "serf"}, secure: "http",
		stop: sigInt, // SIGTERM makes it leave its cluster
		kept: true,
		prepare: func(s *Server) error {
			c := consulConfig(s, servers)
			if o.tls != nil {
				c["ports"].(map[string]int)["http"] = -1
				c["ports"].(map[string]int)["https"] = s.Port("http")
				c["tls"] = map[string]any{"https": map[string]any{
					"ca_file": o.tls.CAFile, "cert_file": o.tls.ServerCert, "key_file": o.tls.ServerKeyFile, "verify_incoming": true,
				}}
			}
			b, err := json.Marshal(c)
			if err != nil {
				return err
			}
			return write(s.dir, "config.json", string(b))
		},
		args: func(s *Server) []string {
			args := []string{"agent", "-config-file=" + s.dir + "/config.json"}
			if o.shared {
				args = append(args, "-dev") // in memory, and leader at once rather than after two seconds
			}
			for _, p := range s.peers {
				if p != s {
					args = append(args, "-retry-join="+p.AddrOf("serf"))
				}
			}
			return args
		},
		ready: func(s *Server) error {
			body, err := s.get("http", "/v1/health/service/consul?passing")
			if got := strings.Count(body, `"serfHealth"`); err == nil && got != servers {
				err = fmt.Errorf("%d servers pass, want %d", got, servers)
			}
			return err
		},
	}
}

func consulConfig(s *Server, servers int) map[string]any {
	return map[string]any{
		"server": true, "bootstrap_expect": servers, "node_name": s.name, "data_dir": s.dir + "/data",
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": "warn", "disable_update_check": true, "retry_interval": "1s",
		"ports": map[string]int{
			"http": s.Port("http"), "server": s.Port("server"), "serf_lan": s.Port("serf"),
			"serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1,
		},
		"connect": map[string]any{"enabled": false},
		// The fastest that Consul allows: a dead server is noticed within about three seconds.
		"performance":             map[string]any{"raft_multiplier": 1},
		"gossip_lan":              map[string]any{"gossip_interval": "50ms", "probe_interval": "200ms", "probe_timeout": "100ms", "suspicion_mult": 2},
		"autopilot":               map[string]any{"cleanup_dead_servers": false},
		"skip_leave_on_interrupt": true,
	}
}

func consulLeader(c *Cluster) *Server {
	for _, m := range c.Members {
		if !m.Running() {
			continue
		}
		body, err := m.get("http", "/v1/status/leader")
		var addr string
		if err != nil || json.Unmarshal([]byte(body), &addr) != nil {
			continue
		}
		for _, s := range c.Members {
			if strings.HasSuffix(addr, ":"+strconv.Itoa(s.Port("server"))) && s.Running() {
				return s
			}
		}
	}
	return nil
}
