package servertest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cassandra starts Apache Cassandra as a single node, 500 MB, ready after four seconds. It keeps
// its data over Stop and Restart. After Kill the tables made since its start are gone: it writes
// them to its files when it is asked to end, since each one would cost as much as a start of most
// other servers.
func Cassandra(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), cassandra(0, "-Dcassandra.test.flush_local_schema_changes=false", "-Dcassandra.shutdown_announce_in_ms=0"))
}

// CassandraCluster starts three nodes that are one cluster, 1.5 GB: on 127.0.0.1, 127.0.0.2 and
// 127.0.0.3. They keep all data over Kill, and names and passwords on each. With TLS they speak it
// among themselves, too.
func CassandraCluster(t testing.TB, opts ...Option) []*Server {
	t.Helper()
	var specs []spec
	for i := range 3 {
		sp := cassandra(i, "-Dcassandra.ring_delay_ms=2000", "-Dcassandra.system_auth.default_rf=3",
			"-Dcassandra.superuser_setup_delay_ms=200") // it is tried until all are there
		sp.limit *= 3
		specs = append(specs, sp)
	}
	return startAll(t, collect(opts), specs...)
}

// cassandra is a node of a cluster. Each is a seed: such a node starts whether or not it
// reaches another.
func cassandra(i int, flags ...string) spec {
	return spec{
		name: "cassandra", part: "cassandra", program: "java", files: []string{jars("cassandra")},
		ports: []string{"cql", "storage"}, secure: "cql", host: fmt.Sprintf("127.0.0.%d", i+1),
		prepare: configureCassandra,
		args: func(s *Server) []string {
			agent, _ := filepath.Glob(jars("cassandra") + "/jamm-*.jar")
			args := java("384m", "-Xss512k", "-Djdk.attach.allowAttachSelf=true", "-javaagent:"+agent[0],
				"-Dcassandra.config=file://"+s.dir+"/cassandra.yaml", "-Dlogback.configurationFile="+s.dir+"/logback.xml",
				"-Dcassandra.storagedir="+s.dir+"/data", "-Dcassandra-foreground=yes",
				"-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.initial_token="+[...]string{"0", "6148914691236517205", "-6148914691236517206"}[i],
				"-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4")
			args = append(args, flags...)
			for _, name := range cassandraExports {
				args = append(args, "--add-exports", name+"=ALL-UNNAMED")
			}
			for _, name := range cassandraOpens {
				args = append(args, "--add-opens", name+"=ALL-UNNAMED")
			}
			return append(args, "-cp", jars("cassandra")+"/*", "org.apache.cassandra.service.CassandraDaemon")
		},
		ready: speaksCQL, kept: true,
		limit: javaStarts, ends: time.Minute,
	}
}

func configureCassandra(s *Server) error {
	rights := ""
	if s.opts.password {
		rights = "authenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\n"
	}
	encryption, err := encryptCassandra(s)
	if err != nil {
		return err
	}
	var seeds []string
	for _, p := range s.peers {
		seeds = append(seeds, p.AddrOf("storage"))
	}
	err = write(s.dir, "cassandra.yaml", fmt.Sprintf(`
cluster_name: servertest
num_tokens: 1
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: %[1]s
rpc_address: %[1]s
storage_port: %[2]d
native_transport_port: %[3]d
commitlog_sync: batch
commitlog_segment_size: 4MiB
auto_snapshot: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "%[4]s"}]
%[5]s`, s.spec.host, s.Port("storage"), s.Port("cql"), strings.Join(seeds, ","), rights+encryption))
	if err != nil {
		return err
	}
	return write(s.dir, "logback.xml", `<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%date %level %msg%n</pattern></encoder></appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>`)
}

// encryptCassandra returns the configuration's part about TLS.
func encryptCassandra(s *Server) (string, error) {
	c := s.opts.tls
	if c == nil {
		return "", nil
	}
	key, err := keyAndChain(s.dir, c)
	return fmt.Sprintf(`
client_encryption_options: {enabled: true, require_client_auth: true, %[1]s}
server_encryption_options: {internode_encryption: all, require_client_auth: true, %[1]s}
`, fmt.Sprintf("ssl_context_factory: {class_name: org.apache.cassandra.security.PEMBasedSslContextFactory}, keystore: %s, truststore: %s", key, c.CAFile)), err
}

// The opcodes of CQL's frames.
const (
	cqlStartup      = 1
	cqlAuthenticate = 3
	cqlOptions      = 5
	cqlSupported    = 6
	cqlAuthResponse = 15
	cqlAuthSuccess  = 16
)

// speaksCQL asks for the options, and logs in where a password is asked for: the
// superuser is made a moment after the port is open.
func speaksCQL(s *Server) error {
	c, err := s.dial("cql")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := askCQL(c, cqlOptions, nil, cqlSupported); err != nil || !s.opts.password {
		return err
	}
	startup := append([]byte{0, 1, 0, 11}, "CQL_VERSION"...)
	startup = append(startup, append([]byte{0, 5}, "3.0.0"...)...)
	if err := askCQL(c, cqlStartup, startup, cqlAuthenticate); err != nil {
		return err
	}
	login := "\x00cassandra\x00cassandra"
	return askCQL(c, cqlAuthResponse, append([]byte{0, 0, 0, byte(len(login))}, login...), cqlAuthSuccess)
}

// askCQL sends a frame of version 4 and wants an answer of one kind.
func askCQL(c net.Conn, opcode byte, body []byte, want byte) error {
	if _, err := c.Write(append([]byte{4, 0, 0, 0, opcode, 0, 0, 0, byte(len(body))}, body...)); err != nil {
		return err
	}
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	if head[4] != want {
		return fmt.Errorf("answer to CQL's request %d: got opcode %d, want %d", opcode, head[4], want)
	}
	_, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[5:])))
	return err
}

// What Cassandra's launcher gives Java 17 (its jvm17-server.options).
var (
	cassandraExports = []string{
		"java.base/jdk.internal.misc", "java.base/java.lang.ref", "java.management.rmi/com.sun.jmx.remote.internal.rmi",
		"java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server", "java.sql/java.sql", "jdk.unsupported/sun.misc",
	}
	cassandraOpens = []string{
		"java.base/java.io", "java.base/java.lang", "java.base/java.lang.module", "java.base/java.lang.reflect", "java.base/java.nio",
		"java.base/java.util", "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
		"java.base/jdk.internal.loader", "java.base/jdk.internal.math", "java.base/jdk.internal.module", "java.base/jdk.internal.ref",
		"java.base/jdk.internal.reflect", "java.base/jdk.internal.util.jar", "java.base/sun.nio.ch",
		"java.rmi/sun.rmi.transport.tcp", "jdk.management/com.sun.management.internal",
	}
)
