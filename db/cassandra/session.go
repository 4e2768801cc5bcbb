package cassandra

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// sessions makes the session on first use, since making one asks the server.
type sessions struct {
	c    config
	life *life.Life
	dial *dialer

	mu      sync.Mutex
	session *gocql.Session // nil: not made yet
	making  chan struct{}  // closed when an attempt has ended; nil: there is none
	err     error          // of the last attempt
}

// get returns the session. Those who ask at the same time wait for one
// attempt, which goes on when they have left.
func (s *sessions) get(ctx context.Context) (*gocql.Session, error) {
	s.mu.Lock()
	if s.session != nil {
		defer s.mu.Unlock()
		return s.session, nil
	}
	making := s.making
	if making == nil {
		making = make(chan struct{})
		s.making = making
		s.life.Go(func(context.Context) { s.make(making) })
	}
	s.mu.Unlock()
	select {
	case <-making:
	case <-ctx.Done():
		return nil, fault.Markf(fault.Unavailable, "no connection to %s yet: %w", strings.Join(s.c.hosts, ","), ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.err
}

func (s *sessions) make(done chan struct{}) {
	defer close(done)
	session, err := s.c.connect(s.dial)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.making, s.err = session, nil, nil
	if err != nil {
		s.session, s.err = nil, fault.Markf(fault.Unavailable, "%s: %w", strings.Join(s.c.hosts, ","), err)
	}
}

// close closes the session unless it is the caller's.
func (s *sessions) close() {
	s.life.Close(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.client != nil {
		return
	}
	// The other way round the session could come to know a new connection while
	// it closes, and would wait for it for ever.
	s.dial.close()
	if s.session != nil {
		s.session.Close()
	}
}

// connect makes a session.
func (c *config) connect(dial *dialer) (*gocql.Session, error) {
	cluster := gocql.NewCluster(c.hosts...)
	cluster.Dialer, cluster.Port = dial, c.port
	cluster.Timeout, cluster.WriteTimeout, cluster.ConnectTimeout = c.answer, c.answer, c.dial
	cluster.Consistency, cluster.SerialConsistency = c.consistency, c.serial()
	cluster.NumConns = c.maxConns
	cluster.Metadata.CacheMode = gocql.KeyspaceOnly // to know who has the copies
	// A node that is down is asked again every second: with a single node, or
	// after a power cut, nothing else would bring it back.
	cluster.ReconnectInterval = time.Second
	cluster.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: 100 * time.Millisecond}
	nodes := gocql.RoundRobinHostPolicy()
	if c.local != "" {
		nodes = gocql.DCAwareRoundRobinPolicy(c.local)
	}
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(nodes)
	cluster.Logger = logger{c.log}
	if c.user != "" || c.password != "" {
		cluster.Authenticator = gocql.PasswordAuthenticator{Username: c.user, Password: c.password}
	}
	if c.tls != nil {
		cluster.SslOpts = &gocql.SslOptions{Config: c.tls, EnableHostVerification: !c.tls.InsecureSkipVerify}
	}
	session, err := cluster.CreateSession()
	if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
		err = errors.New("no session (what the server said has the password in it)")
	}
	return session, err
}

// serial is where lightweight transactions are decided.
func (c *config) serial() gocql.Consistency {
	if c.consistency == gocql.Quorum {
		return gocql.Serial
	}
	return gocql.LocalSerial
}

// logger gives the driver's reports to a slog.Logger.
type logger struct{ to *slog.Logger }

func (l logger) log(level slog.Level, message string, fields []gocql.LogField) {
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, len(fields))
	for i, f := range fields {
		attrs[i] = slog.String(f.Name, f.Value.String())
	}
	l.to.LogAttrs(context.Background(), level, "cassandra: "+message, attrs...)
}

func (l logger) Error(m string, f ...gocql.LogField)   { l.log(slog.LevelError, m, f) }
func (l logger) Warning(m string, f ...gocql.LogField) { l.log(slog.LevelWarn, m, f) }
func (l logger) Info(m string, f ...gocql.LogField)    { l.log(slog.LevelInfo, m, f) }
func (l logger) Debug(m string, f ...gocql.LogField)   { l.log(slog.LevelDebug, m, f) }
