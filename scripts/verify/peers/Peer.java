// SPDX-License-Identifier: Apache-2.0

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A gRPC peer in Java for scripts/verify/peers.py: {@code Peer server PORT} or {@code Peer client HOST:PORT}. */
public final class Peer {
    private static final String SERVICE = "propagating.proxy.Interop";
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private static final MethodDescriptor.Marshaller<byte[]> RAW = new MethodDescriptor.Marshaller<>() {
        @Override public InputStream stream(byte[] value) { return new ByteArrayInputStream(value); }
        @Override public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }
    };

    private static MethodDescriptor<byte[], byte[]> method(String name, MethodType type) {
        return MethodDescriptor.newBuilder(RAW, RAW).setType(type)
            .setFullMethodName(MethodDescriptor.generateFullMethodName(SERVICE, name)).build();
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("server")) {
            serve(Integer.parseInt(arguments[1]));
        } else {
            call(arguments[1]);
        }
    }

    private static Metadata echoed(Metadata received, String prefix) {
        Metadata sent = new Metadata();
        for (String name : received.keys()) {
            if (!name.startsWith("x-case-echo")) {
                continue;
            }
            String other = prefix + name.substring(11);
            if (name.endsWith("-bin")) {
                var from = Metadata.Key.of(name, Metadata.BINARY_BYTE_MARSHALLER);
                received.getAll(from).forEach(v -> sent.put(Metadata.Key.of(other, Metadata.BINARY_BYTE_MARSHALLER), v));
            } else {
                var from = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
                received.getAll(from).forEach(v -> sent.put(Metadata.Key.of(other, Metadata.ASCII_STRING_MARSHALLER), v));
            }
        }
        return sent;
    }

    /** What to do with each message, and at the caller's end. */
    private abstract static class Behaviour extends ServerCall.Listener<byte[]> {
        final ServerCall<byte[], byte[]> call;
        final Metadata received;
        private boolean begun;

        Behaviour(ServerCall<byte[], byte[]> call, Metadata received) {
            this.call = call;
            this.received = received;
            call.request(1);
        }

        abstract void heard(byte[] message);

        void ended() { }

        void say(byte[] message) {
            begin();
            call.sendMessage(message);
        }

        void begin() {
            if (!begun) {
                call.sendHeaders(echoed(received, "x-case-initial"));
            }
            begun = true;
        }

        void finish(Status status) {
            if (status.isOk()) {
                begin();
            }
            call.close(status, echoed(received, "x-case-trailing"));
        }

        @Override public void onMessage(byte[] message) {
            heard(message);
            call.request(1);
        }

        @Override public void onHalfClose() { ended(); }
    }

    private static List<Integer> numbers(String text) {
        List<Integer> found = new ArrayList<>();
        Matcher matcher = Pattern.compile("\\d+").matcher(text);
        while (matcher.find()) {
            found.add(Integer.parseInt(matcher.group()));
        }
        return found;
    }

    private static void serve(int port) throws Exception {
        ServerCallHandler<byte[], byte[]> echo = (call, received) -> new Behaviour(call, received) {
            private byte[] request;
            @Override void heard(byte[] message) { request = message; }
            @Override void ended() { say(request); finish(Status.OK); }
        };
        ServerCallHandler<byte[], byte[]> fail = (call, received) -> new Behaviour(call, received) {
            @Override void heard(byte[] message) {
                String text = new String(message, StandardCharsets.UTF_8);
                Matcher details = Pattern.compile("\"details\": \"([^\"]*)\"").matcher(text);
                finish(Status.fromCodeValue(numbers(text).get(0)).withDescription(details.find() ? details.group(1) : ""));
            }
        };
        ServerCallHandler<byte[], byte[]> sleep = (call, received) -> new Behaviour(call, received) {
            @Override void heard(byte[] message) { }
        };
        ServerCallHandler<byte[], byte[]> collect = (call, received) -> new Behaviour(call, received) {
            private int count;
            private int size;
            @Override void heard(byte[] message) { count += 1; size += message.length; }
            @Override void ended() { say((count + " messages, " + size + " bytes").getBytes()); finish(Status.OK); }
        };
        ServerCallHandler<byte[], byte[]> spread = (call, received) -> new Behaviour(call, received) {
            @Override void heard(byte[] message) { numbers(new String(message)).forEach(size -> say(new byte[size])); }
            @Override void ended() { finish(Status.OK); }
        };
        ServerCallHandler<byte[], byte[]> talk = (call, received) -> new Behaviour(call, received) {
            @Override void heard(byte[] message) { say(message); }
            @Override void ended() { finish(Status.OK); }
        };
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port))
            .addService(ServerServiceDefinition.builder(SERVICE)
                .addMethod(method("Echo", MethodType.UNARY), echo).addMethod(method("Fail", MethodType.UNARY), fail)
                .addMethod(method("Sleep", MethodType.UNARY), sleep)
                .addMethod(method("Collect", MethodType.CLIENT_STREAMING), collect)
                .addMethod(method("Spread", MethodType.SERVER_STREAMING), spread)
                .addMethod(method("Talk", MethodType.BIDI_STREAMING), talk).build())
            .build().start();
        OUT.println("serving");
        Thread.currentThread().join();
    }

    /** One call, its events in a queue. */
    private static final class Running extends ClientCall.Listener<byte[]> {
        final ClientCall<byte[], byte[]> call;
        final LinkedBlockingQueue<Object> events = new LinkedBlockingQueue<>();
        Metadata initial = new Metadata();
        Metadata trailing = new Metadata();
        Status status;

        Running(ManagedChannel channel, String name, MethodType type, Metadata sent, long milliseconds) {
            CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(milliseconds, TimeUnit.MILLISECONDS);
            call = channel.newCall(method(name, type), options);
            call.start(this, sent);
            call.request(1);
        }

        @Override public void onHeaders(Metadata headers) { initial = headers; }
        @Override public void onMessage(byte[] message) { events.add(message); call.request(1); }
        @Override public void onClose(Status ended, Metadata trailers) { trailing = trailers; events.add(ended); }

        /** The next message, or null at the end, when {@link #status} is known. */
        byte[] next() throws InterruptedException {
            Object event = events.take();
            if (event instanceof Status ended) {
                status = ended;
                return null;
            }
            return (byte[]) event;
        }

        List<byte[]> all() throws InterruptedException {
            List<byte[]> messages = new ArrayList<>();
            for (byte[] message = next(); message != null; message = next()) {
                messages.add(message);
            }
            return messages;
        }
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        if (bytes != null) {
            for (byte one : bytes) {
                text.append(String.format("%02x", one));
            }
        }
        return text.toString();
    }

    private static String both(Metadata metadata, String prefix) {
        String text = metadata.get(Metadata.Key.of(prefix + "-text", Metadata.ASCII_STRING_MARSHALLER));
        byte[] bytes = metadata.get(Metadata.Key.of(prefix + "-bin", Metadata.BINARY_BYTE_MARSHALLER));
        return "[\"" + text + "\", \"" + hex(bytes) + "\"]";
    }

    private static void tell(String name, Status status, boolean withDetails, String further) {
        String details = status.getDescription();
        OUT.println("{\"case\": \"" + name + "\", \"code\": " + status.getCode().value()
            + (withDetails && details != null ? ", \"details\": \"" + details + "\"" : "") + further + "}");
    }

    private static void call(String target) throws Exception {
        ManagedChannel channel = NettyChannelBuilder.forTarget(target).usePlaintext().build();
        byte[] large = new byte[300_000];

        Running one = new Running(channel, "Echo", MethodType.UNARY, new Metadata(), 30_000);
        one.call.sendMessage(large);
        one.call.halfClose();
        List<byte[]> messages = one.all();
        tell("unary", one.status, true, ", \"size\": " + (messages.isEmpty() ? 0 : messages.get(0).length));

        Metadata sent = new Metadata();
        byte[] every = new byte[256];
        for (int index = 0; index < 256; index++) {
            every[index] = (byte) index;
        }
        sent.put(Metadata.Key.of("x-case-echo-text", Metadata.ASCII_STRING_MARSHALLER), "two,  three");
        sent.put(Metadata.Key.of("x-case-echo-bin", Metadata.BINARY_BYTE_MARSHALLER), every);
        one = new Running(channel, "Echo", MethodType.UNARY, sent, 30_000);
        one.call.sendMessage(large);
        one.call.halfClose();
        one.all();
        tell("metadata", one.status, true, ", \"initial\": " + both(one.initial, "x-case-initial")
            + ", \"trailing\": " + both(one.trailing, "x-case-trailing"));

        one = new Running(channel, "Spread", MethodType.SERVER_STREAMING, new Metadata(), 30_000);
        one.call.sendMessage("[31415, 9, 2653, 0]".getBytes());
        one.call.halfClose();
        List<Integer> sizes = new ArrayList<>();
        one.all().forEach(message -> sizes.add(message.length));
        tell("server_streaming", one.status, true, ", \"sizes\": " + sizes);

        one = new Running(channel, "Collect", MethodType.CLIENT_STREAMING, new Metadata(), 30_000);
        for (int size : new int[] {27_182, 8, 1_828, 45_904}) {
            one.call.sendMessage(new byte[size]);
        }
        one.call.halfClose();
        messages = one.all();
        tell("client_streaming", one.status, true,
            ", \"text\": \"" + (messages.isEmpty() ? "" : new String(messages.get(0))) + "\"");

        one = new Running(channel, "Talk", MethodType.BIDI_STREAMING, new Metadata(), 30_000);
        int right = 0;
        while (right < 20) {
            one.call.sendMessage(("message " + right).getBytes());
            byte[] answer = one.next();
            if (answer == null || !new String(answer).equals("message " + right)) {
                break;
            }
            right += 1;
        }
        one.call.halfClose();
        if (one.status == null) {
            one.all();
        }
        tell("ping_pong", one.status, true, ", \"right\": " + right);

        one = new Running(channel, "Fail", MethodType.UNARY, new Metadata(), 30_000);
        one.call.sendMessage("{\"code\": 9, \"details\": \"naïve ☃ 你好 100 %\"}".getBytes(StandardCharsets.UTF_8));
        one.call.halfClose();
        one.all();
        tell("failure", one.status, true, "");

        one = new Running(channel, "Talk", MethodType.BIDI_STREAMING, new Metadata(), 30_000);
        one.call.sendMessage("first".getBytes());
        one.next();
        one.call.cancel("enough", null);
        one.all();
        tell("cancel", one.status, false, "");

        one = new Running(channel, "Sleep", MethodType.UNARY, new Metadata(), 300);
        one.call.sendMessage(new byte[1]);
        one.call.halfClose();
        one.all();
        tell("deadline", one.status, false, "");

        one = new Running(channel, "Nothing", MethodType.UNARY, new Metadata(), 30_000);
        one.call.sendMessage(new byte[1]);
        one.call.halfClose();
        one.all();
        tell("unimplemented", one.status, false, "");
        channel.shutdownNow();
    }
}
