package servertest

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The users of Kafka under [WithSASL]: KafkaAdmin may do everything, KafkaUser nothing.
const (
	KafkaAdmin    = "admin"
	KafkaUser     = "bob"
	KafkaPassword = "pass word@1"
)

// Kafka starts one node of Apache Kafka, broker and controller (KRaft), ready after four
// seconds. Share groups are on. It keeps its data over Restart, and makes no topics by itself.
// Sessions and locks may be as short as a second, so that tests need not wait.
func Kafka(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	return start(t, o, spec{
		name: "kafka", part: "kafka", program: "java", files: []string{jars("kafka")},
		ports: []string{"kafka", "internal", "controller"}, secure: "kafka",
		prepare: func(s *Server) error { return formatKafka(s, o) },
		args: func(s *Server) []string {
			return java("384m", "-Dlog4j2.configurationFile="+s.dir+"/log4j2.yaml", "-cp", jars("kafka")+"/*", "kafka.Kafka", s.dir+"/server.properties")
		},
		ready: speaksKafka, kept: true,
		limit: javaStarts,
	})
}

// SharedKafka returns the test binary's Kafka node.
func SharedKafka(t testing.TB) *Server {
	t.Helper()
	return share(t, "kafka", Kafka)
}

// formatKafka writes the configuration and what KRaft needs before its first start.
func formatKafka(s *Server, o options) error {
	// Kafka speaks to itself through the listener "internal", so that the one
	// for clients may ask for anything.
	protocol, more := "PLAINTEXT", ""
	switch {
	case o.tls != nil && o.sasl:
		protocol = "SASL_SSL"
	case o.tls != nil:
		protocol = "SSL"
	case o.sasl:
		protocol = "SASL_PLAINTEXT"
	}
	if o.tls != nil {
		key, err := keyAndChain(s.dir, o.tls)
		if err != nil {
			return err
		}
		more += fmt.Sprintf(`
ssl.keystore.type=PEM
ssl.keystore.location=%s
ssl.truststore.type=PEM
ssl.truststore.location=%s
ssl.client.auth=required
`, key, o.tls.CAFile)
	}
	if o.sasl {
		more += fmt.Sprintf(`
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.kafka.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[1]s="%[3]s" user_%[2]s="%[3]s";
listener.name.kafka.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.kafka.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:%[1]s
`, KafkaAdmin, KafkaUser, KafkaPassword)
	}
	err := write(s.dir, "server.properties", fmt.Sprintf(`
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[3]d
listeners=KAFKA://127.0.0.1:%[1]d,INTERNAL://127.0.0.1:%[2]d,CONTROLLER://127.0.0.1:%[3]d
advertised.listeners=KAFKA://127.0.0.1:%[1]d,INTERNAL://127.0.0.1:%[2]d
listener.security.protocol.map=KAFKA:%[5]s,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
log.dirs=%[4]s/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
group.share.min.session.timeout.ms=1000
group.share.min.heartbeat.interval.ms=100
group.share.min.record.lock.duration.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=1
num.io.threads=2
%[6]s`, s.Port("kafka"), s.Port("internal"), s.Port("controller"), s.dir, protocol, more))
	if err == nil {
		err = write(s.dir, "log4j2.yaml", `Configuration:
  Appenders: {Console: {name: C, PatternLayout: {pattern: "%d %p %m%n"}}}
  Loggers: {Root: {level: warn, AppenderRef: {ref: C}}}
`)
	}
	if err != nil {
		return err
	}
	// What is formatted names neither ports nor folders.
	args := formatArgs(s, o)
	return prepared(filepath.Join(s.dir, "data"), jars("kafka"), args, func() error { return format(args) })
}

// format runs Kafka's own tool, a JVM, which makes the folder of its data.
func format(args []string) error {
	program, err := find("java")
	if err != nil {
		return err
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w\n%s", err, out)
	}
	return nil
}

func formatArgs(s *Server, o options) []string {
	args := java("128m", "-Dlog4j2.configurationFile="+s.dir+"/log4j2.yaml", "-cp", jars("kafka")+"/*",
		"kafka.tools.StorageTool", "format", "-t", "c2VydmVydGVzdC1rYWZrYQ", "-c", s.dir+"/server.properties")
	if o.sasl {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			for _, user := range []string{KafkaAdmin, KafkaUser} {
				args = append(args, "--add-scram", fmt.Sprintf(`%s=[name="%s",password="%s"]`, mechanism, user, KafkaPassword))
			}
		}
	}
	return args
}

// keyAndChain writes the server's key and certificate into one file, as Kafka reads them.
func keyAndChain(dir string, c *Certs) (string, error) {
	key, err := os.ReadFile(c.ServerKeyFile)
	if err != nil {
		return "", err
	}
	cert, err := os.ReadFile(c.ServerCert)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "server.pem"), write(dir, "server.pem", string(key)+string(cert))
}

// speaksKafka sends an ApiVersions request, which needs no credentials.
func speaksKafka(s *Server) error {
	c, err := s.dial("kafka")
	if err != nil {
		return err
	}
	defer c.Close()
	const apiVersions, correlation = 18, 7
	req := []byte{0, 0, 0, 10, 0, apiVersions, 0, 0, 0, 0, 0, correlation, 0xff, 0xff} // version 0, no client id
	if _, err := c.Write(req); err != nil {
		return err
	}
	var head [10]byte // size, correlation, error code
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	if id, code := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint16(head[8:]); id != correlation || code != 0 {
		return fmt.Errorf("answer to ApiVersions: got id %d and error %d, want %d and 0", id, code, correlation)
	}
	return nil
}
