package servertest

import "testing"

func TestRabbitMQKeepsItsDataAndLeavesNothing(t *testing.T) {
	s := RabbitMQ(t)
	RabbitEval(t, s, `rabbit_auth_backend_internal:add_user(<<"kept">>, <<"secret">>, <<"test">>).`)
	mapper := s.AddrOf("epmd")
	s.Kill()
	if c, err := s.dial("epmd"); err == nil {
		c.Close()
		t.Errorf("after Kill the port mapper still listens on %s", mapper)
	}
	s.Restart()
	if there := RabbitEval(t, s, `rabbit_auth_backend_internal:exists(<<"kept">>).`); there != "true" {
		t.Errorf("after a restart: got %s, want a user who is called kept", there)
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
