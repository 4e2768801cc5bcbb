package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Etcd starts an etcd server of one member. It keeps its data over Restart.
func Etcd(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return etcds(t, collect(opts), 1)[0]
}

// SharedEtcd returns the test binary's etcd server.
func SharedEtcd(t testing.TB) *Server {
	t.Helper()
	return share(t, "etcd", Etcd)
}

// EtcdCluster starts an etcd cluster of three members.
func EtcdCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	return &Cluster{Members: etcds(t, collect(opts), 3), leader: etcdLeader}
}

// etcds starts n members. Kill them rather than Stop them while another one is dead: asked to
// end, a leader first tries for six seconds to hand over.
func etcds(t testing.TB, o options, n int) []*Server {
	t.Helper()
	specs := make([]spec, n)
	for i := range specs {
		specs[i] = etcd(i, o)
	}
	return startAll(t, o, specs...)
}

func etcd(i int, o options) spec {
	name := fmt.Sprintf("etcd%d", i)
	return spec{
		name: name, part: "go", program: "etcd", ports: []string{"client", "peer"}, secure: "client",
		args: func(s *Server) []string {
			scheme := "http"
			if o.tls != nil {
				scheme = "https"
			}
			client, peer := scheme+"://"+s.AddrOf("client"), "http://"+s.AddrOf("peer")
			args := []string{
				"--name", name, "--data-dir", s.dir + "/data",
				"--listen-client-urls", client, "--advertise-client-urls", client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", initialCluster(s), "--initial-cluster-token", "servertest", "--initial-cluster-state", "new",
				"--log-level", "warn", "--heartbeat-interval", "50", "--election-timeout", "500", "--unsafe-no-fsync",
			}
			if o.tls != nil {
				args = append(args, "--trusted-ca-file", o.tls.CAFile, "--cert-file", o.tls.ServerCert, "--key-file", o.tls.ServerKeyFile, "--client-cert-auth")
			}
			return args
		},
		ready: answers("client", "/health", `"true"`), kept: true,
	}
}

func initialCluster(s *Server) string {
	var all []string
	for _, p := range s.peers {
		all = append(all, p.name+"=http://"+p.AddrOf("peer"))
	}
	return strings.Join(all, ",")
}

// etcdLeader asks each member, through the gateway that serves etcd's API as JSON.
func etcdLeader(c *Cluster) *Server {
	for _, m := range c.Members {
		if !m.Running() {
			continue
		}
		var status struct {
			Header struct {
				MemberID string `json:"member_id"`
			}
			Leader string
		}
		body, err := m.request(http.MethodPost, "client", "/v3/maintenance/status", "{}")
		if err == nil && json.Unmarshal([]byte(body), &status) == nil && status.Leader == status.Header.MemberID {
			return m
		}
	}
	return nil
}
