import org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner;

/** SingleNode runs one Elasticsearch node: the runner's own main can't be told a port above 9299. */
public class SingleNode {
    public static void main(String[] args) throws Exception {
        String folder = args[0], http = args[1], transport = args[2];
        ElasticsearchClusterRunner runner = new ElasticsearchClusterRunner();
        runner.setMaxHttpPort(-1);
        runner.onBuild((index, settings) -> {
            settings.put("discovery.type", "single-node");
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", http);
            settings.put("transport.port", transport);
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        try {
            runner.build("-basePath", folder, "-numOfNode", "1", "-clusterName", "servertest");
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
        Thread.currentThread().join();
    }
}
