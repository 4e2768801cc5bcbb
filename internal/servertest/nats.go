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
		leader := c.named(jsz.Meta.Leader)
		if leader != nil && leader.Running() {
			return leader
		}
	}
	return nil
}

// StreamLeader returns the member of a NATSCluster that leads a stream.
func StreamLeader(t testing.TB, c *Cluster, stream string) *Server {
	t.Helper()
	for _, s := range natsStreams(t, c, stream) {
		leader := c.named(s.Cluster.Leader)
		if leader != nil {
			return leader
		}
	}
	t.Fatalf("servertest: no leader of the stream %s", stream)
	return nil
}

// ConsumerLeaders returns the members of a NATSCluster that lead consumers of a stream, which
// each of them may do for another.
func ConsumerLeaders(t testing.TB, c *Cluster, stream string) (leaders []*Server) {
	t.Helper()
	for _, s := range natsStreams(t, c, stream) {
		for _, consumer := range s.Consumers {
			leader := c.named(consumer.Cluster.Leader)
			if leader != nil && !slices.Contains(leaders, leader) {
				leaders = append(leaders, leader)
			}
		}
	}
	return leaders
}

// natsStream is what one server knows of a stream.
type natsStream struct {
	Name      string   `json:"name"`
	Cluster   natsRaft `json:"cluster"`
	Consumers []struct {
		Cluster natsRaft `json:"cluster"`
	} `json:"consumer_detail"`
}

type natsRaft struct {
	Leader string `json:"leader"`
}

// natsStreams asks all servers about a stream.
func natsStreams(t testing.TB, c *Cluster, stream string) (found []natsStream) {
	t.Helper()
	for _, m := range c.Members {
		var jsz struct {
			Accounts []struct {
				Streams []natsStream `json:"stream_detail"`
			} `json:"account_details"`
		}
		body, err := m.get("http", "/jsz?consumers=true")
		if err == nil {
			err = json.Unmarshal([]byte(body), &jsz)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range jsz.Accounts {
			for _, s := range a.Streams {
				if s.Name == stream {
					found = append(found, s)
				}
			}
		}
	}
	return found
}

// named returns a member, or nil.
func (c *Cluster) named(name string) *Server {
	i := slices.IndexFunc(c.Members, func(m *Server) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return c.Members[i]
}
