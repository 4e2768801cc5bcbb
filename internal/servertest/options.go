package servertest

// Option changes how a server starts.
type Option func(*options)

type options struct {
	args     []string
	env      []string
	aof      bool
	replicas int
	tls      *Certs
	sasl     bool
	password bool
	shared   bool
	program  string // of Redis
	targets  []string
	rules    []string
	conf     []string // lines of RabbitMQ's configuration
	etcd     *Server
}

// WithArgs appends arguments to the server's command line; with most servers the last of two
// contradicting ones wins.
func WithArgs(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// WithEnv adds KEY=value pairs to the server's environment.
func WithEnv(env ...string) Option {
	return func(o *options) { o.env = append(o.env, env...) }
}

// The servers that speak Redis's protocol, beside the default one, for
// [WithRedis].
const (
	Redis62 = "redis-server-6.2"
	Redis8  = "redis-server-8"
	Valkey9 = "valkey-server-9"
)

// WithRedis starts another version than the default one.
func WithRedis(program string) Option {
	return func(o *options) { o.program = program }
}

// WithAOF makes Redis keep what it acknowledged over Kill and Restart. Without it a restarted
// Redis is empty.
func WithAOF() Option {
	return func(o *options) { o.aof = true }
}

// WithReplicas gives each primary of [RedisCluster] n replicas; the default is none.
func WithReplicas(n int) Option {
	return func(o *options) { o.replicas = n }
}

// WithPassword makes Cassandra ask for a name and a password, and keep rights. The
// superuser has "cassandra" for both.
func WithPassword() Option {
	return func(o *options) { o.password = true }
}

// WithTLS makes Redis, Etcd, Consul, NATS, Memcached, Kafka, RabbitMQ and Cassandra serve TLS only, with c's
// server certificate, and ask clients for a certificate of c's authority.
func WithTLS(c *Certs) Option {
	return func(o *options) { o.tls = c }
}

// WithSASL makes Kafka ask clients for a name and a password, PLAIN or SCRAM, and look at what
// they may do.
func WithSASL() Option {
	return func(o *options) { o.sasl = true }
}

// WithTargets makes Prometheus scrape host:port/path, or host:port for /metrics. The label job of
// all is "test".
func WithTargets(addrs ...string) Option {
	return func(o *options) { o.targets = append(o.targets, addrs...) }
}

// WithRules makes Prometheus evaluate the rules in files, every half second.
func WithRules(files ...string) Option {
	return func(o *options) { o.rules = append(o.rules, files...) }
}

// WithEtcd makes [Kubernetes] stand on the etcd server e, with others that do as one cluster. The
// default is the test binary's, under a prefix that no other API server has.
func WithEtcd(e *Server) Option {
	return func(o *options) { o.etcd = e }
}

// WithConfig adds lines to RabbitMQ's configuration file.
func WithConfig(lines ...string) Option {
	return func(o *options) { o.conf = append(o.conf, lines...) }
}

func collect(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}
