package servertest

import (
	"strings"
	"testing"
)

func TestRabbitMQKeepsItsDataAndLeavesNothing(t *testing.T) {
	s := RabbitMQ(t)
	RabbitCtl(t, s, "add_user", "kept", "secret")
	mapper := s.AddrOf("epmd")
	s.Kill()
	if c, err := s.dial("epmd"); err == nil {
		c.Close()
		t.Errorf("after Kill the port mapper still listens on %s", mapper)
	}
	s.Restart()
	if users := RabbitCtl(t, s, "list_users"); !strings.Contains(users, "kept") {
		t.Errorf("after a restart: got users %q, want one that is called kept", users)
	}
	s.Stop()
	if c, err := s.dial("epmd"); err == nil {
		c.Close()
		t.Errorf("after Stop the port mapper still listens on %s", mapper)
	}
}

func TestRabbitMQWithTLS(t *testing.T) {
	certs := NewCerts(t)
	s := RabbitMQ(t, WithTLS(certs)) // ready means that it answers over TLS
	stranger := certs.Client.Clone()
	stranger.Certificates = nil
	if n, err := knock(s.Addr(), stranger); err == nil {
		t.Errorf("without a client certificate: got %d bytes, want an error", n)
	}
}
