package servertest

import "time"

// javaStarts is long because two cores may be compiling elsewhere meanwhile.
const javaStarts = 2 * time.Minute

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
