package servertest

import (
	"os"
	"path/filepath"
	"strconv"
)

// A Cluster is servers that make one store together.
type Cluster struct {
	Members []*Server
	leader  func(*Cluster) *Server
}

// Addrs returns the members' addresses.
func (c *Cluster) Addrs() []string { return addrs(c.Members) }

// Leader returns the member that leads, waiting up to 30 seconds for an election; nil if
// there is none then.
func (c *Cluster) Leader() *Server {
	var leader *Server
	poll(6*answerWithin, func() bool {
		leader = c.leader(c)
		return leader != nil
	})
	return leader
}

// Followers returns the running members that don't lead.
func (c *Cluster) Followers() []*Server {
	leader := c.Leader()
	var all []*Server
	for _, m := range c.Members {
		if m != leader && m.Running() {
			all = append(all, m)
		}
	}
	return all
}

func addrs(servers []*Server) []string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Addr()
	}
	return all
}

// withPort finds the server whose main port has that number.
func withPort(servers []*Server, number string) *Server {
	for _, s := range servers {
		if strconv.Itoa(s.Port(s.spec.ports[0])) == number {
			return s
		}
	}
	return nil
}

// write writes a file that servers of any user can read.
func write(dir, name, text string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
}
