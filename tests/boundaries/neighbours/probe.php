<?php
// What PHP of a site sees and reaches as it is set up: `FOUND`, `works` and `END` as in probe.sh.
require __DIR__ . '/wp-load.php';
header( 'Content-Type: text/plain' );
$neighbour = $_GET['neighbour'];
@ini_set( 'open_basedir', '/' );
@ini_set( 'open_basedir', '' );
$places = array(
	'/var/log/nginx', '/etc/nginx/sites-enabled', '/etc/php/8.2/fpm/pool.d', '/etc/systemd/system', '/etc/pressluft/php',
	'/proc', '/proc/self/net', '/sys/fs/cgroup', '/run', '/var/www/sites', "/var/www/sites/$neighbour", '/var/log/pressluft',
);
foreach ( $places as $place ) {
	if ( @scandir( $place ) ) {
		echo "FOUND names in $place\n";
	}
}
foreach ( array( '/etc/passwd', "/var/log/nginx/wp_{$neighbour}_production.access.log", '/proc/self/net/unix', '/proc/1/cmdline' ) as $file ) {
	if ( '' !== (string) @file_get_contents( $file ) ) {
		echo "FOUND $file\n";
	}
}
foreach ( array( 'exec', 'shell_exec', 'proc_open', 'popen', 'system', 'passthru', 'pcntl_fork', 'dl', 'symlink', 'putenv' ) as $name ) {
	if ( function_exists( $name ) ) {
		echo "FOUND the function $name\n";
	}
}
$targets = array(
	'unix:///run/dbus/system_bus_socket', 'unix:///run/systemd/private', 'unix:///run/systemd/journal/stdout',
	"unix:///run/pressluft-php/wp_{$neighbour}_production.sock", 'unix:///run/php/php8.2-pressluft.sock',
	'tcp://169.254.169.254:80', 'tcp://127.0.0.1:9090', 'tcp://[::1]:9090', "tcp://{$_SERVER['SERVER_ADDR']}:9090", 'tcp://127.0.0.1:22',
);
foreach ( $targets as $target ) {
	if ( @stream_socket_client( $target, $number, $text, 3 ) ) {
		echo "FOUND an answer of $target\n";
	}
}

$answer = wp_remote_get( 'http://127.0.0.1/', array( 'headers' => array( 'Host' => $_SERVER['HTTP_HOST'] ) ) );
$checks = array(
	'a request to itself' => 200 === wp_remote_retrieve_response_code( $answer ),
	'the database' => 'http' === substr( $GLOBALS['wpdb']->get_var( "SELECT option_value FROM wp_options WHERE option_name = 'siteurl'" ), 0, 4 ),
	'an upload' => empty( wp_upload_bits( 'probe.txt', null, 'text' )['error'] ),
	'mail that is kept' => wp_mail( 'a@b.example', 'probe', 'text' ),
	'a session' => session_start() && session_write_close(),
	'the clock' => time() > 1700000000,
);
foreach ( $checks as $name => $fine ) {
	echo $fine ? "works $name\n" : "BROKEN $name\n";
}
echo "END\n";
