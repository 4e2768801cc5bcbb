package servertest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// java returns the flags that make a JVM start fast and stay small.
func java(heap string, more ...string) []string {
	return append([]string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx" + heap}, more...)
}

func jars(server string) string { return filepath.Join(Cache(), "java", server) }

// Zipkin starts Zipkin's own server with its store in memory, 200 MB of it, ready after three
// seconds. It takes spans at /api/v2/spans and shows traces at /api/v2/trace/ID.
func Zipkin(t testing.TB, opts ...Option) *Server {
	t.Helper()
	jar, _ := filepath.Glob(filepath.Join(jars("zipkin"), "zipkin-server-*-exec.jar"))
	if len(jar) == 0 {
		jar = []string{"missing"}
	}
	return start(t, collect(opts), spec{
		name: "zipkin", part: "zipkin", program: "java", files: jar, ports: []string{"http"},
		env: []string{"STORAGE_TYPE=mem"},
		args: func(s *Server) []string {
			return java("192m",
				"-Dspring.main.lazy-initialization=true",
				"-Darmeria.ports[0].ip=127.0.0.1", "-Darmeria.ports[0].port="+strconv.Itoa(s.Port("http")), "-Darmeria.ports[0].protocols[0]=http",
				"-jar", jar[0])
		},
		ready: answers("http", "/health", `"UP"`),
		limit: javaStarts,
	})
}

// SharedZipkin returns the test binary's Zipkin server.
func SharedZipkin(t testing.TB) *Server {
	t.Helper()
	return share(t, "zipkin", Zipkin)
}

// OpenSearch starts OpenSearch as a single node without security, 300 MB, ready after four
// seconds. It keeps its data over Restart.
func OpenSearch(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), singleNode("opensearch"))
}

// SharedOpenSearch returns the test binary's OpenSearch node.
func SharedOpenSearch(t testing.TB) *Server {
	t.Helper()
	return share(t, "opensearch", OpenSearch)
}

// Elasticsearch starts Elasticsearch 7.10, as OpenSearch does.
func Elasticsearch(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), singleNode("elasticsearch"))
}

// SharedElasticsearch returns the test binary's Elasticsearch node.
func SharedElasticsearch(t testing.TB) *Server {
	t.Helper()
	return share(t, "elasticsearch", Elasticsearch)
}

func singleNode(name string) spec {
	return spec{
		name: name, part: name, program: "java", files: []string{jars(name) + "/SingleNode.class"},
		ports: []string{"http", "transport"}, dsn: "http://%s",
		args: func(s *Server) []string {
			return java("384m", "-cp", jars(name)+":"+jars(name)+"/*", "SingleNode",
				s.dir, strconv.Itoa(s.Port("http")), strconv.Itoa(s.Port("transport")))
		},
		ready: answers("http", "/_cluster/health", `"number_of_nodes":1`),
		limit: javaStarts,
	}
}

// Cassandra starts Apache Cassandra as a single node, 500 MB, ready after four seconds. It keeps
// its data over Stop and Restart. After Kill the tables made since its start are gone: it writes
// them to its files when it is asked to end, since each one would cost as much as a start of most
// other servers.
func Cassandra(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), spec{
		name: "cassandra", part: "cassandra", program: "java", files: []string{jars("cassandra")},
		ports:   []string{"cql", "storage"},
		prepare: configureCassandra,
		args: func(s *Server) []string {
			agent, _ := filepath.Glob(jars("cassandra") + "/jamm-*.jar")
			args := java("384m", "-Xss512k", "-Djdk.attach.allowAttachSelf=true", "-javaagent:"+agent[0],
				"-Dcassandra.config=file://"+s.dir+"/cassandra.yaml", "-Dlogback.configurationFile="+s.dir+"/logback.xml",
				"-Dcassandra.storagedir="+s.dir+"/data", "-Dcassandra-foreground=yes",
				"-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.initial_token=0", "-Dcassandra.test.flush_local_schema_changes=false",
				"-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4")
			for _, name := range cassandraExports {
				args = append(args, "--add-exports", name+"=ALL-UNNAMED")
			}
			for _, name := range cassandraOpens {
				args = append(args, "--add-opens", name+"=ALL-UNNAMED")
			}
			return append(args, "-cp", jars("cassandra")+"/*", "org.apache.cassandra.service.CassandraDaemon")
		},
		ready: speaksCQL,
		limit: javaStarts, ends: time.Minute,
	})
}

// SharedCassandra returns the test binary's Cassandra node.
func SharedCassandra(t testing.TB) *Server {
	t.Helper()
	return share(t, "cassandra", Cassandra)
}

func configureCassandra(s *Server) error {
	rights := ""
	if s.opts.password {
		rights = "authenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\n"
	}
	err := write(s.dir, "cassandra.yaml", fmt.Sprintf(`
cluster_name: servertest
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: %[1]d
native_transport_port: %[2]d
commitlog_sync: batch
commitlog_segment_size: 4MiB
auto_snapshot: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:%[1]d"}]
%[3]s`, s.Port("storage"), s.Port("cql"), rights))
	if err != nil {
		return err
	}
	return write(s.dir, "logback.xml", `<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%date %level %msg%n</pattern></encoder></appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>`)
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
