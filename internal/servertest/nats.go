package servertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// NATS starts a NATS server with JetStream. It keeps its streams over Restart.
func NATS(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	return start(t, o, nats("nats", false, o))
}

// SharedNATS returns the test binary's NATS server.
func SharedNATS(t testing.TB) *Server {
	t.Helper()
	return share(t, "nats", NATS)
}

// NATSCluster starts three NATS servers with JetStream. Its Leader is the one that says which
// server keeps what; each stream and each consumer has a leader of its own.
func NATSCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	o := collect(opts)
	specs := make([]spec, 3)
	for i := range specs {
		specs[i] = nats(fmt.Sprintf("nats%d", i), true, o)
	}
	return &Cluster{Members: startAll(t, o, specs...), leader: natsLeader}
}

func nats(name string, clustered bool, o options) spec {
	sp := spec{
		name: name, part: "go", program: "nats-server", ports: []string{"nats", "http"},
		args: func(s *Server) []string {
			args := []string{"-a", "127.0.0.1", "-p", strconv.Itoa(s.Port("nats")), "-m", strconv.Itoa(s.Port("http")), "-js", "-sd", s.dir + "/data"}
			if clustered {
				args = append(args, "-n", name, "--cluster_name", "servertest", "--cluster", "nats://"+s.AddrOf("cluster"), "--routes", routes(s))
			}
			if o.tls != nil {
				args = append(args, "--tlsverify", "--tlscacert", o.tls.CAFile, "--tlscert", o.tls.ServerCert, "--tlskey", o.tls.ServerKeyFile)
			}
			return args
		},
		ready: answers("http", "/healthz", "ok"),
	}
	if clustered {
		sp.ports = append(sp.ports, "cluster")
	}
	return sp
}

func routes(s *Server) string {
	var all []string
	for _, p := range s.peers {
		if p != s {
			all = append(all, "nats://"+p.AddrOf("cluster"))
		}
	}
	return strings.Join(all, ",")
}

// natsLeader asks each member who leads.
func natsLeader(c *Cluster) *Server {
	for _, m := range c.Members {
		if !m.Running() {
			continue
		}
		var jsz struct {
			Meta struct {
				Leader string `json:"leader"`
			} `json:"meta_cluster"`
		}
		body, err := m.get("http", "/jsz")
		if err != nil || json.Unmarshal([]byte(body), &jsz) != nil {
			continue
		}
		for _, s := range c.Members {
			if s.name == jsz.Meta.Leader && s.Running() {
				return s
			}
		}
	}
	return nil
}

// StreamLeader returns the member of a NATSCluster that leads a stream.
func StreamLeader(t testing.TB, c *Cluster, stream string) *Server {
	t.Helper()
	var jsz struct {
		Accounts []struct {
			Streams []struct {
				Name    string `json:"name"`
				Cluster struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	for _, m := range c.Members {
		body, err := m.get("http", "/jsz?accounts=true&streams=true")
		if err == nil {
			err = json.Unmarshal([]byte(body), &jsz)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range jsz.Accounts {
			for _, s := range a.Streams {
				i := slices.IndexFunc(c.Members, func(m *Server) bool { return m.name == s.Cluster.Leader })
				if s.Name == stream && i >= 0 {
					return c.Members[i]
				}
			}
		}
	}
	t.Fatalf("servertest: no leader of the stream %s", stream)
	return nil
}
