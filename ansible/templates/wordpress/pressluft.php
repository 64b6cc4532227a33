<?php
/**
 * Plugin Name: Pressluft
 * Description: What the fleet repo says about this environment. Changes are overwritten.
 */

defined( 'ABSPATH' ) || exit;

// The database names files that WordPress runs. A name that leads out of its directory, to the
// uploads for one, is not taken, but the first theme that is there, or the language that WordPress
// is written in.
foreach ( array( 'template', 'stylesheet' ) as $pressluft_option ) {
	add_filter(
		'option_' . $pressluft_option,
		static function ( $name ) {
			$plain = is_string( $name ) && ! str_contains( $name, '..' ) && preg_match( '~^[\w.\- ]+(?:/[\w.\- ]+)*\z~u', $name );
			return $plain ? $name : basename( dirname( glob( WP_CONTENT_DIR . '/themes/*/style.css' )[0] ?? '/' ) );
		},
		PHP_INT_MAX
	);
	add_filter(
		'option_' . $pressluft_option . '_root',
		static fn( $root ) => '/themes' === $root || in_array( $root, (array) ( $GLOBALS['wp_theme_directories'] ?? array() ), true ) ? $root : '/themes',
		PHP_INT_MAX
	);
}
unset( $pressluft_option );
foreach ( array( 'locale', 'determine_locale' ) as $pressluft_filter ) {
	add_filter(
		$pressluft_filter,
		static fn( $locale ) => is_string( $locale ) && preg_match( '~^[A-Za-z0-9_@\-]*\z~', $locale ) ? $locale : 'en_US',
		PHP_INT_MAX
	);
}
unset( $pressluft_filter );

// Which translations there are changes without WordPress, so no cache keeps it between requests.
wp_cache_add_non_persistent_groups( array( 'translation_files' ) );
{% if env.safety.noindex %}

// A copy must not be indexed. The option in the database stays as production's, so that
// nothing of this is ever carried back.
add_filter( 'pre_option_blog_public', static fn() => '0', PHP_INT_MAX );
add_filter( 'wp_robots', static fn( $robots ) => array( 'noindex' => true, 'nofollow' => true ), PHP_INT_MAX );
{% endif %}
{% if env.safety.mail == "capture" %}

// Mail is kept in a folder of the environment and not sent.
add_filter(
	'pre_wp_mail',
	static function ( $short_circuit, $mail ) {
		$lines = array( 'Date: ' . gmdate( 'r' ) );
		foreach ( array( 'to', 'subject', 'headers' ) as $field ) {
			$value = $mail[ $field ] ?? '';
			$value = is_array( $value ) ? implode( ', ', $value ) : (string) $value;
			$lines[] = ucfirst( $field ) . ': ' . str_replace( array( "\r", "\n" ), ' ', $value );
		}
		$name = gmdate( 'Ymd-His' ) . '-' . bin2hex( random_bytes( 6 ) ) . '.eml';
		$text = implode( "\n", $lines ) . "\n\n" . ( $mail['message'] ?? '' ) . "\n";
		return false !== file_put_contents( {{ (names.root ~ "/mail/")|php_single_quoted }} . $name, $text );
	},
	PHP_INT_MAX,
	2
);
{% elif env.safety.mail == "drop" %}

// Mail is thrown away.
add_filter( 'pre_wp_mail', '__return_true', PHP_INT_MAX );
{% endif %}
{% if page_cache %}

// What visitors see is cached. Whatever changes it has the cache emptied, once, when the request ends. A plugin that knows
// of another change does `pressluft_purge_pages`.
$pressluft_purge = static function () {
	static $is_asked = false;
	if ( ! $is_asked ) {
		$is_asked = true;
		add_action( 'shutdown', static fn() => touch( {{ (names.root ~ "/tmp/purge-pages")|php_single_quoted }} ), PHP_INT_MAX );
	}
};
foreach ( array( 'pressluft_purge_pages', 'switch_theme', 'customize_save_after', 'wp_update_nav_menu', 'permalink_structure_changed', 'activated_plugin', 'deactivated_plugin', 'upgrader_process_complete', 'created_term', 'edited_term', 'delete_term', 'edit_comment', 'profile_update', 'deleted_user', 'woocommerce_product_set_stock_status', 'woocommerce_variation_set_stock_status' ) as $pressluft_action ) {
	add_action( $pressluft_action, $pressluft_purge, PHP_INT_MAX, 0 );
}
unset( $pressluft_action );
add_action(
	'clean_post_cache',
	static function ( $id, $post ) use ( $pressluft_purge ) {
		$is_shown = is_object( $post ) && in_array( $post->post_status, array( 'publish', 'inherit' ), true );
		if ( $is_shown && ! in_array( $post->post_type, array( 'revision', 'oembed_cache', 'customize_changeset' ), true ) ) {
			$pressluft_purge();
		}
	},
	PHP_INT_MAX,
	2
);
add_action(
	'transition_post_status',
	static function ( $new, $old, $post ) use ( $pressluft_purge ) {
		if ( in_array( 'publish', array( $new, $old ), true ) ) {
			$pressluft_purge();
		}
	},
	PHP_INT_MAX,
	3
);
add_action(
	'updated_option',
	static function ( $option ) use ( $pressluft_purge ) {
		$pattern = '~^(?:blogname|blogdescription|show_on_front|page_on_front|page_for_posts|posts_per_page|sidebars_widgets|widget_.*|theme_mods_.*|stylesheet|template|permalink_structure|WPLANG|timezone_string|gmt_offset|date_format|time_format|start_of_week|sticky_posts|site_icon|active_plugins|blog_public)\z~';
		if ( preg_match( $pattern, (string) $option ) ) {
			$pressluft_purge();
		}
	},
	PHP_INT_MAX,
	1
);
unset( $pressluft_purge );

// Plugins say by a constant that a page is one visitor's alone.
add_action(
	'template_redirect',
	static function () {
		if ( defined( 'DONOTCACHEPAGE' ) && DONOTCACHEPAGE ) {
			nocache_headers();
		}
	},
	PHP_INT_MAX
);
{% endif %}
