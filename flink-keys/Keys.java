import java.io.File;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Prints every configuration key of the jars of one Flink release, a line each: the key, and after it the keys that are
 * read in its place (old names). A key is what a static field of type ConfigOption says when its class is loaded.
 *
 * <p>java Keys.java JAR…
 */
public class Keys {
    public static void main(String[] jars) throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String jar : jars) {
            urls.add(new File(jar).toURI().toURL());
        }
        TreeMap<String, TreeSet<String>> found = new TreeMap<>();
        // Libraries that greet the world from a static block do it on stderr.
        java.io.PrintStream out = System.out;
        System.setOut(System.err);
        try (URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]))) {
            Class<?> option = loader.loadClass("org.apache.flink.configuration.ConfigOption");
            for (String jar : jars) {
                for (String name : candidates(jar)) {
                    try {
                        read(Class.forName(name, true, loader), option, found);
                    } catch (Throwable e) {
                        // A class whose libraries are not here has its keys elsewhere too, or belongs to no cluster.
                        System.err.println(name + ": " + e);
                    }
                }
            }
        }
        found.forEach((key, old) -> out.println(key + (old.isEmpty() ? "" : " " + String.join(" ", old))));
        out.flush();
        // Some static blocks start threads.
        System.exit(0);
    }

    /** Classes of Flink that mention ConfigOption in their constant pool. */
    private static List<String> candidates(String jar) throws Exception {
        List<String> names = new ArrayList<>();
        try (JarFile file = new JarFile(jar)) {
            for (Enumeration<JarEntry> entries = file.entries(); entries.hasMoreElements(); ) {
                JarEntry entry = entries.nextElement();
                String name = entry.getName();
                if (!name.startsWith("org/apache/flink/") || !name.endsWith(".class") || name.contains("shaded")) {
                    continue;
                }
                byte[] bytes = file.getInputStream(entry).readAllBytes();
                String text = new String(bytes, StandardCharsets.ISO_8859_1);
                if (text.contains("Lorg/apache/flink/configuration/ConfigOption;")) {
                    names.add(name.substring(0, name.length() - ".class".length()).replace('/', '.'));
                }
            }
        }
        return names;
    }

    private static void read(Class<?> type, Class<?> option, TreeMap<String, TreeSet<String>> found) throws Exception {
        for (Field field : type.getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers()) || field.getType() != option) {
                continue;
            }
            field.setAccessible(true);
            Object value = field.get(null);
            if (value == null) {
                continue;
            }
            String key = (String) option.getMethod("key").invoke(value);
            if (!isKey(key)) {
                continue;
            }
            TreeSet<String> old = found.computeIfAbsent(key, k -> new TreeSet<>());
            for (Object fallback : (Iterable<?>) option.getMethod("fallbackKeys").invoke(value)) {
                String name = (String) fallback.getClass().getMethod("getKey").invoke(fallback);
                if (isKey(name)) {
                    old.add(name);
                }
            }
        }
    }

    /** Options of a table or connector have short names that mean nothing in a cluster's configuration. */
    private static boolean isKey(String key) {
        return key.matches("[a-zA-Z][a-zA-Z0-9_-]*(\\.[a-zA-Z0-9_-]+)+")
                || key.equals("high-availability")
                || key.equals("restart-strategy");
    }
}
